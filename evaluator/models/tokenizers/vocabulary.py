"""Store the text of token ids, so that results can be read without the model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import polars as pl

from evaluator.models.model_file import ModelFile
from evaluator.models.tokenizers.scheme import is_byte_level
from evaluator.results.schema import Vocabulary, with_schema

_BYTE_TOKEN = re.compile(r"^<0x([0-9A-Fa-f]{2})>$")
_WORD_MARK = "\u2581"


def vocabulary_frame(file: ModelFile, model: str, ids: Iterable[int]) -> pl.DataFrame:
    """Return the frame of `vocabulary.parquet` for `ids`; ids outside the vocabulary are ignored.

    Raises:
        SourceError: the file has no vocabulary.
    """
    tokens = file.require("tokenizer.ggml.tokens")
    piece = _byte_level_piece if is_byte_level(file) else _sentencepiece_piece
    known = sorted({int(index) for index in ids if 0 <= index < len(tokens)})
    pieces = [piece(str(tokens[index])) for index in known]
    rows = {"model": [model] * len(known), "token": known, "piece": pieces}
    return with_schema(
        Vocabulary, pl.DataFrame(rows, schema_overrides={"model": pl.String, "piece": pl.String})
    )


def _sentencepiece_piece(token: str) -> str:
    if byte := _BYTE_TOKEN.match(token):
        return bytes([int(byte[1], 16)]).decode("utf-8", "replace")
    return token.replace(_WORD_MARK, " ")


def _byte_level_piece(token: str) -> str:
    """Decode a token from the byte-level alphabet; incomplete characters become the replacement character."""
    alphabet = _alphabet()
    if any(character not in alphabet for character in token):
        return token  # control and user-defined tokens are not encoded
    return bytes(alphabet[character] for character in token).decode("utf-8", "replace")


@cache
def _alphabet() -> dict[str, int]:
    """Return GPT-2's character → byte: printable Latin-1 is itself, the other bytes are mapped from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in set(plain)]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + n): byte for n, byte in enumerate(others)}
