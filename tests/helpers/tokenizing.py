"""A text that is hard to tokenize, and llama.cpp's result with each pre-tokenizer."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_RECORD = json.loads((Path(__file__).parents[1] / "assets" / "tokenizing.json").read_text(encoding="ascii"))
TEXT = "\n".join(_RECORD["text"])
#: Name of a pre-tokenizer → counts and digests of its words and of SmolLM2's ids.
SPLITS: dict[str, dict[str, int | str]] = _RECORD["splits"]
#: Words, marks and white space of many scripts, and what splitting and normalizing treats in its own way.
_WORDS = """
the Word ABCdef abcDEF x is, ned ß ǅ ʰ Ω Ж ы é ﬁ Å ₖ 𝒳 \U00010400 1 12 345 6789 ½ ² ٣
你好 世界 ひら カタカナ ー 한국 어 שלום مرحبا नमस्ते ไทย ก e\u0301 \u0301 \u0338 👩\u200d👩\u200d👧 🇩🇪 \u200d
, . ! ? ( ) | 。 ， 、 's 'RE ' ’ll < > = -- // \\ _ #
"""
_SPACES = (
    " ",
    " ",
    "  ",
    "    ",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    ". ",
    "\u00a0",
    "\u3000",
    "\u2028",
    "\0",
    "\x1f",
)
_PARTS = [*_WORDS.split(), *_SPACES]


def mixed_text(generator: random.Random, n: int, more: Sequence[str] = ()) -> str:
    """Return `n` parts in random order, one of `more` after about every tenth."""
    return "".join(
        part
        for _ in range(n)
        for part in (
            generator.choice(_PARTS),
            generator.choice(more) if more and generator.random() < 0.1 else "",
        )
    )


def digest(numbers: Sequence[int]) -> str:
    """Return the SHA-256 of the numbers as little-endian 32-bit integers."""
    return hashlib.sha256(np.asarray(numbers, "<i4").tobytes()).hexdigest()
