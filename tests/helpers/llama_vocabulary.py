"""Tokenize with a file's vocabulary in llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.engines.llama_cpp.process import llama_answer

#: The id that stands for no token.
NO_TOKEN = -1


@dataclass(frozen=True)
class LlamaVocabulary:
    """`bos_id` is the token put before texts, or None; `ids`, per text, are without special tokens.

    `seconds` is how long each text took.
    """

    bos_id: int | None
    ids: list[list[int]]
    seconds: list[float]


def llama_vocabulary(path: Path, texts: Sequence[str], *, parse_special: bool = False) -> LlamaVocabulary:
    """Tokenize texts with llama.cpp; `parse_special` recognizes control tokens in them."""
    (answer,) = llama_vocabularies([path], texts, parse_special=parse_special)
    return answer


def llama_vocabularies(
    paths: Sequence[Path], texts: Sequence[str], *, parse_special: bool = False
) -> list[LlamaVocabulary]:
    """Tokenize the same texts with the vocabulary of each file."""
    names = [str(path) for path in paths]
    answers = llama_answer("vocabulary", paths=names, texts=list(texts), parse_special=parse_special)
    return [LlamaVocabulary(**answer) for answer in answers]
