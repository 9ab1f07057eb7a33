"""Vocabularies that show where a text was split: every pair of bytes that is adjacent in the texts is a token."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tiny_models import byte_symbols, write_tiny_llama


def pair_merges(texts: Sequence[str]) -> list[str]:
    """Return merges of all pairs of adjacent bytes in random order, so that tokens depend on where words end."""
    symbols = byte_symbols()
    pairs = sorted({pair for text in texts for pair in pairwise(text.encode())})
    random.Random(0).shuffle(pairs)
    return [f"{symbols[left]} {symbols[right]}" for left, right in pairs]


def write_pairs(path: Path, merges: Sequence[str], pre: str) -> Path:
    """Write a model with these merges and this `tokenizer.ggml.pre`."""
    return write_tiny_llama(path, hidden=32, layers=1, ffn=32, merges=merges, pre=pre)
