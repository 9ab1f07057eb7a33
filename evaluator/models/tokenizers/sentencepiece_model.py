"""Reads `tokenizer.model`, SentencePiece's own file: a protocol-buffer message with pieces, scores and types.

Only the fields that decide token ids are read. Wire format: https://protobuf.dev/programming-guides/encoding/
Fields: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluator.support.errors import SourceError

_MAX_BYTES = 1 << 27
_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5
_FIXED = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
#: Field numbers: of the model, of its trainer's and of its normalizer's settings, and of a piece.
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_MODEL_TYPE, _SPACE_AS_SUFFIX, _BOS_ID = 3, 24, 41
_CHARACTER_MAP, _SPACE_PREFIX, _ONE_SPACE, _ESCAPES_SPACES = 2, 3, 4, 5
_TEXT, _SCORE, _KIND = 1, 2, 3
_BYTE_PAIRS, _NORMAL = 2, 1


@dataclass(frozen=True)
class Piece:
    """A token as SentencePiece keeps it; `kind` numbers are those of `tokenizer.ggml.token_type`."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePieceModel:
    """`pieces` by id; `space_prefix` is None where the file does not say, `bos_id` where it has none."""

    pieces: list[Piece]
    space_prefix: bool | None
    bos_id: int | None


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """The pieces, and what is put before a text.

    Raises:
        SourceError: it cannot be read, is damaged, merges by another rule than byte pairs, or changes texts as GGUF's
            tokenizers do not.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SourceError(path, f"is larger than {_MAX_BYTES:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(path, f"cannot be read: {error.strerror or error}") from error
    try:
        return _model(path, content)
    except (IndexError, ValueError, struct.error):
        raise SourceError(path, "is not a SentencePiece model: truncated or damaged") from None


def _model(path: Path, content: bytes) -> SentencePieceModel:
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] | None = None
    for number, value in _fields(content):
        if number == _PIECES and isinstance(value, bytes):
            pieces.append(_piece(value))
        elif number == _TRAINER and isinstance(value, bytes):
            trainer = dict(_fields(value))
        elif number == _NORMALIZER and isinstance(value, bytes):
            normalizer = dict(_fields(value))
    if not pieces:
        raise ValueError("no pieces")
    if int(trainer.get(_MODEL_TYPE, 1)) != _BYTE_PAIRS:
        raise SourceError(path, "is not a byte-pair model; unigram, word and char models are not supported")
    if change := _change_of_texts(trainer, normalizer):
        raise SourceError(path, f"{change}: GGUF files cannot say that, and llama.cpp does not do it")
    bos = int(trainer.get(_BOS_ID, 1))
    prefix = None if normalizer is None else bool(normalizer.get(_SPACE_PREFIX, True))
    return SentencePieceModel(pieces, prefix, bos if bos < len(pieces) else None)


def _change_of_texts(
    trainer: Mapping[int, int | bytes], normalizer: Mapping[int, int | bytes] | None
) -> str | None:
    """What is done to texts that GGUF's tokenizers do not; None where nothing is."""
    if trainer.get(_SPACE_AS_SUFFIX):
        return "puts spaces behind words (treat_whitespace_as_suffix)"
    if normalizer is None:
        return None
    if normalizer.get(_CHARACTER_MAP):
        return "replaces characters before it merges (precompiled_charsmap)"
    if normalizer.get(_ONE_SPACE, True):
        return "makes one space of several (remove_extra_whitespaces)"
    return None if normalizer.get(_ESCAPES_SPACES, True) else "keeps spaces as they are (escape_whitespaces)"


def _piece(message: bytes) -> Piece:
    fields = dict(_fields(message))
    match fields.get(_TEXT, b""), fields.get(_SCORE, bytes(4)), fields.get(_KIND, _NORMAL):
        case bytes(text), bytes(score), int(kind):
            return Piece(text.decode("utf-8"), struct.unpack("<f", score)[0], kind)
    raise ValueError("a piece of other types")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values: whole numbers of varints, bytes of everything else."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire == _DELIMITED:
            length, position = _varint(message, position)
        else:
            length = _FIXED.get(wire, -1)
        if not 0 <= length <= len(message) - position:
            raise ValueError("a length beyond the end")
        yield number, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """A number in groups of seven bits, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position + shift // 7]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + shift // 7 + 1
    raise ValueError("a number of more than 64 bits")
