"""The text that single token ids stand for, so that a result can be read without its model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import polars as pl

from evaluator.models.model_file import ModelFile
from evaluator.results.schema import Vocabulary, with_schema

_BYTE_TOKEN = re.compile(r"^<0x([0-9A-Fa-f]{2})>$")
_WORD_MARK = "\u2581"


def vocabulary_frame(file: ModelFile, model: str, ids: Iterable[int]) -> pl.DataFrame:
    """The `vocabulary.parquet` of `ids`: a piece per id; ids outside the vocabulary are left out.

    Raises:
        SourceError: the file has no vocabulary.
    """
    tokens = file.require("tokenizer.ggml.tokens")
    byte_level = file.metadata.get("tokenizer.ggml.model") == "gpt2"
    piece = _byte_level_piece if byte_level else _sentencepiece_piece
    known = sorted({int(index) for index in ids if 0 <= index < len(tokens)})
    pieces = [piece(str(tokens[index])) for index in known]
    rows = {"model": [model] * len(known), "token": known, "piece": pieces}
    return with_schema(
        Vocabulary, pl.DataFrame(rows, schema_overrides={"model": pl.String, "piece": pl.String})
    )


def _sentencepiece_piece(token: str) -> str:
    found = _BYTE_TOKEN.match(token)
    if found:
        return bytes([int(found[1], 16)]).decode("utf-8", "replace")
    return token.replace(_WORD_MARK, " ")


def _byte_level_piece(token: str) -> str:
    """Undo the byte-level alphabet; a part of a character becomes the replacement character."""
    alphabet = _alphabet()
    if any(character not in alphabet for character in token):
        return token  # a control or user-defined token is written as it is
    return bytes(alphabet[character] for character in token).decode("utf-8", "replace")


@cache
def _alphabet() -> dict[str, int]:
    """GPT-2's characters for bytes: printable Latin-1 stands for itself, the other bytes follow from U+0100."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in set(plain)]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + n): byte for n, byte in enumerate(others)}
