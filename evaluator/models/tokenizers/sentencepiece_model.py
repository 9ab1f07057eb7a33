"""Read `tokenizer.model`, SentencePiece's own file: a protocol-buffer message with pieces, scores and types.

Only the fields that affect token ids are declared. They are in a separate pool, because other libraries register the
whole message: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from evaluator.support.errors import SourceError

_MAX_BYTES = 1 << 27
_BYTE_PAIRS = 2
_DAMAGED = "is not a SentencePiece model: truncated or damaged"
_PACKAGE = "sentencepiece"
#: Message → number of a field: its name, type and default. Enumerations are read as numbers, and strings as bytes,
#: because implementations of the library treat invalid UTF-8 differently.
_MESSAGES: dict[str, dict[int, tuple[str, str, str | None]]] = {
    "SentencePiece": {1: ("piece", "bytes", None), 2: ("score", "float", None), 3: ("type", "int32", "1")},
    "TrainerSpec": {
        3: ("model_type", "int32", "1"),
        24: ("treat_whitespace_as_suffix", "bool", None),
        41: ("bos_id", "int32", "1"),
    },
    "NormalizerSpec": {
        2: ("precompiled_charsmap", "bytes", None),
        3: ("add_dummy_prefix", "bool", "true"),
        4: ("remove_extra_whitespaces", "bool", "true"),
        5: ("escape_whitespaces", "bool", "true"),
    },
    "ModelProto": {
        1: ("pieces", "SentencePiece", None),
        2: ("trainer_spec", "TrainerSpec", None),
        3: ("normalizer_spec", "NormalizerSpec", None),
    },
}


@dataclass(frozen=True)
class Piece:
    """A token of SentencePiece; `kind` has the numbers of `tokenizer.ggml.token_type`."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePieceModel:
    """`pieces` by id; `space_prefix` is None if the file does not state it, `bos_id` if there is none."""

    pieces: list[Piece]
    space_prefix: bool | None
    bos_id: int | None


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Read a SentencePiece model.

    Raises:
        SourceError: it cannot be read, is damaged, is not a byte-pair model, or normalizes texts in a way that GGUF
            cannot express.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SourceError(path, f"is larger than {_MAX_BYTES:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(path, f"cannot be read: {error.strerror or error}") from error
    model = _model_class()()
    try:
        model.ParseFromString(content)
        pieces = [Piece(item.piece.decode(), item.score, item.type) for item in model.pieces]
    except (DecodeError, UnicodeDecodeError):
        raise SourceError(path, _DAMAGED) from None
    if not pieces:
        raise SourceError(path, _DAMAGED)
    if model.trainer_spec.model_type != _BYTE_PAIRS:
        raise SourceError(path, "is not a byte-pair model; unigram, word and char models are not supported")
    if change := _unsupported_change(model):
        raise SourceError(path, f"{change}, which GGUF and llama.cpp do not support")
    bos = model.trainer_spec.bos_id
    prefix = model.normalizer_spec.add_dummy_prefix if model.HasField("normalizer_spec") else None
    return SentencePieceModel(pieces, prefix, bos if 0 <= bos < len(pieces) else None)


def _unsupported_change(model: Any) -> str | None:
    """Return a change of texts that GGUF's tokenizers do not make; None if there is none."""
    if model.trainer_spec.treat_whitespace_as_suffix:
        return "puts spaces after words (treat_whitespace_as_suffix)"
    if not model.HasField("normalizer_spec"):
        return None
    normalizer = model.normalizer_spec
    if normalizer.precompiled_charsmap:
        return "replaces characters before merging (precompiled_charsmap)"
    if normalizer.remove_extra_whitespaces:
        return "joins several spaces to one (remove_extra_whitespaces)"
    return None if normalizer.escape_whitespaces else "does not replace spaces (escape_whitespaces)"


@cache
def _model_class() -> Any:
    """Return the class of SentencePiece's `ModelProto`."""
    file = FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto2")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for number, (name, kind, default) in fields.items():
            field = described.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
            if kind in _MESSAGES:
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
            if name == "pieces":
                field.label = FieldDescriptorProto.LABEL_REPEATED
            if default is not None:
                field.default_value = default
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.ModelProto"))
