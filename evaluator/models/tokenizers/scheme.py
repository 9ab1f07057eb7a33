"""The name of a file's pre-tokenizer, and where it is taken from if the file has none that is known.

Files with byte-level BPE from before May 2024 lack `tokenizer.ggml.pre`. llama.cpp then assumes `default`, which for
most models gives plausible but wrong ids and a perplexity about 50 % higher. This program requires the name instead:
from the user's `--pre`, or, for variants, from the baseline. So it does for names that it does not know, and for
checkpoints whose tokenizer.json splits texts in a way that it does not know.
"""

from __future__ import annotations

from dataclasses import replace

from gguf import GGUFValueType

from evaluator.models.model_file import ModelFile, ValueType
from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS, PreTokenization
from evaluator.support.errors import RequestError, SourceError
from evaluator.support.suggestions import did_you_mean, nearest

_PRE, _MODEL = "tokenizer.ggml.pre", "tokenizer.ggml.model"
#: Kinds of tokenizers: the first names its pre-tokenizer, the second has that of this name.
_BYTE_PAIRS, _GEMMA4 = "gpt2", "gemma4"
_WRONG = "gives most models other tokens than they were trained on"
#: One name for each way to split.
_WAYS = ", ".join(
    next(name for name, splitting in PRE_TOKENIZERS.items() if splitting == way)
    for way in dict.fromkeys(PRE_TOKENIZERS.values())
)


def needs_scheme(file: ModelFile) -> bool:
    """Return whether a file has to name its pre-tokenizer: BPE has to, SentencePiece and Gemma 4's have not."""
    return file.metadata.get(_MODEL) == _BYTE_PAIRS


def scheme_name(file: ModelFile) -> str | None:
    """Return the pre-tokenizer that a file names; None if it needs none or names none.

    Raises:
        SourceError: the name is an array.
    """
    name = file.single(_PRE) if needs_scheme(file) else None
    return None if name is None else str(name)


def is_byte_level(file: ModelFile) -> bool:
    """Return whether a file's tokens are in the byte-level alphabet."""
    splitting = PRE_TOKENIZERS.get(str(file.metadata.get(_PRE)))
    return needs_scheme(file) and (splitting is None or splitting.byte_level)


def splitting_of(file: ModelFile) -> PreTokenization:
    """Return how a byte-level file's texts are split.

    Raises:
        SourceError: the file does not name its pre-tokenizer, or the name is not known.
    """
    name = _GEMMA4 if file.metadata.get(_MODEL) == _GEMMA4 else scheme_name(file)
    if name is None:
        raise SourceError(
            file.path,
            f"{_why_unnamed(file)}; name it with --pre NAME: llama.cpp would assume 'default', which {_WRONG}; "
            f"choose one of: {_WAYS}",
        )
    if name not in PRE_TOKENIZERS:
        raise SourceError(
            file.path,
            f"pre-tokenizer {name!r} is not known{did_you_mean(name, PRE_TOKENIZERS)}; if it splits like a known "
            f"one, name that with --pre NAME (a wrong one {_WRONG}); known, besides other names for them: {_WAYS}",
        )
    return PRE_TOKENIZERS[name]


def _why_unnamed(file: ModelFile) -> str:
    if file.path.is_dir():
        return "its tokenizer.json splits texts in a way that is not known (pre_tokenizer)"
    return f"does not name its pre-tokenizer ({_PRE} is missing, as in files from before May 2024)"


def check_named(file: ModelFile) -> None:
    """Check that files made from a checkpoint can name its pre-tokenizer.

    Raises:
        SourceError: it is not known.
    """
    if file.path.is_dir() and needs_scheme(file) and scheme_name(file) is None:
        raise SourceError(
            file.path,
            f"{_why_unnamed(file)}, so files made from it would have other tokens; quantize its GGUF file instead",
        )


def with_named_scheme(file: ModelFile, name: str | None) -> ModelFile:
    """Return `file` with the pre-tokenizer of `--pre`; unchanged if that is absent or equal to the file's own.

    Raises:
        RequestError: the name is not known, the file needs none, or the file names one that splits differently.
    """
    if name is None:
        return file
    if name not in PRE_TOKENIZERS:
        raise RequestError(f"--pre {name}: no such pre-tokenizer{nearest(name, sorted(PRE_TOKENIZERS))}")
    if not needs_scheme(file):
        kind = file.metadata.get(_MODEL)
        raise RequestError(
            f"--pre {name}: {file.path} has a {kind!r} tokenizer, which needs no pre-tokenizer; leave --pre out"
        )
    own = scheme_name(file)
    if own is None or own not in PRE_TOKENIZERS:
        return _named(file, name)
    if PRE_TOKENIZERS[own] != PRE_TOKENIZERS[name]:
        raise RequestError(
            f"--pre {name}: {file.path} names {own} itself, which splits differently; leave --pre out"
        )
    return file


def with_scheme_of(file: ModelFile, other: ModelFile) -> ModelFile:
    """Return `file`, with the pre-tokenizer of `other` if `other` names a known one and `file` does not."""
    name = scheme_name(other)
    lacks = needs_scheme(file) and scheme_name(file) not in PRE_TOKENIZERS
    return _named(file, name) if lacks and name is not None and name in PRE_TOKENIZERS else file


def _named(file: ModelFile, name: str) -> ModelFile:
    return replace(
        file,
        metadata={**file.metadata, _PRE: name},
        value_types={**file.value_types, _PRE: ValueType(GGUFValueType.STRING, None)},
    )
