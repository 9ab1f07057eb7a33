"""A text that is hard to tokenize, and texts of random parts."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS

_LINES = json.loads((Path(__file__).parents[1] / "assets" / "tokenizing.json").read_text(encoding="ascii"))
TEXT = "\n".join(_LINES)
#: One name for each way to split.
NAMES = list({way: name for name, way in reversed(PRE_TOKENIZERS.items())}.values())
#: Those whose words are in the byte-level alphabet, and the others.
BYTE_LEVEL = [name for name in NAMES if PRE_TOKENIZERS[name].byte_level]
AS_WRITTEN = [name for name in NAMES if name not in BYTE_LEVEL]
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


def random_text(generator: random.Random, n: int) -> str:
    """Return `n` characters, mostly of the first planes and often repeated, between parts of `mixed_text`."""
    limits = (0x80, 0x600, 0x3200, 0x10000, 0x20000)
    codes = (generator.randrange(generator.choice(limits)) for _ in range(n))
    return "".join(
        generator.choice((chr(code), chr(code), chr(code) * 3, generator.choice(_PARTS)))
        for code in codes
        if not 0xD800 <= code < 0xE000
    )
