"""A text that is hard to tokenize, and llama.cpp's result with each pre-tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_RECORD = json.loads((Path(__file__).parents[1] / "assets" / "tokenizing.json").read_text(encoding="ascii"))
TEXT = "\n".join(_RECORD["text"])
#: Name of a pre-tokenizer → counts and digests of its words and of SmolLM2's ids.
SPLITS: dict[str, dict[str, int | str]] = _RECORD["splits"]


def digest(numbers: Sequence[int]) -> str:
    """Return the SHA-256 of the numbers as little-endian 32-bit integers."""
    return hashlib.sha256(np.asarray(numbers, "<i4").tobytes()).hexdigest()
