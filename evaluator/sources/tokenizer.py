"""Tokenizers built from a GGUF file's own vocabulary, giving the ids that llama.cpp gives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import AddedToken, Tokenizer, models

from evaluator.errors import SourceError
from evaluator.sources.gguf_file import GGUFFile
from evaluator.sources.pretokenizers import PRE_TOKENIZERS

#: `tokenizer.ggml.token_type` of tokens that are cut out of any text before the merges.
_USER_DEFINED = 4


@dataclass(frozen=True)
class TextTokenizer:
    """Turns text into ids, without special tokens. `bos_id` is set when the model wants BOS in each window."""

    vocabulary_size: int
    bos_id: int | None
    _tokenizer: Tokenizer = field(repr=False)

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """Token ids of the whole text, int32 [n_tokens]; control tokens in it are plain text."""
        return np.asarray(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int32)


def vocabulary_digest(file: GGUFFile) -> str:
    """Digest of what decides token ids (tokens, merges, splitting): equal digests, equal ids.

    Raises:
        SourceError: the file has no vocabulary.
    """
    digest = hashlib.sha256()
    for key in ("tokenizer.ggml.model", "tokenizer.ggml.pre"):
        digest.update(str(file.metadata.get(key)).encode())
    for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges"):
        items = _strings(file, key) if key in file.metadata or key.endswith("tokens") else []
        digest.update("\x00".join(items).encode())
    return digest.hexdigest()


def tokenizer_from_gguf(file: GGUFFile) -> TextTokenizer:
    """Build the tokenizer that the file describes.

    Raises:
        SourceError: the tokenizer's kind or its pre-tokenizer is not known, or its tables are damaged.
    """
    kind = str(file.require("tokenizer.ggml.model"))
    if kind != "gpt2":
        raise SourceError(
            file.path, f"tokenizer kind {kind!r} is not supported; known: 'gpt2' (byte-level BPE)"
        )
    pre = str(file.require("tokenizer.ggml.pre"))
    if pre not in PRE_TOKENIZERS:
        known = ", ".join(sorted(PRE_TOKENIZERS))
        raise SourceError(file.path, f"pre-tokenizer {pre!r} is not supported; known: {known}")
    tokens = _strings(file, "tokenizer.ggml.tokens")
    splitting = PRE_TOKENIZERS[pre]
    try:
        merges = [_merge_pair(line) for line in _strings(file, "tokenizer.ggml.merges")]
        vocabulary = {token: index for index, token in enumerate(tokens)}
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=splitting.ignore_merges))
    except Exception as error:  # the library raises bare Exception for tables that contradict each other
        raise SourceError(file.path, f"damaged tokenizer tables: {error}") from error
    tokenizer.pre_tokenizer = splitting.build()
    tokenizer.add_tokens(_user_defined(file, tokens))
    return TextTokenizer(len(tokens), _bos_id(file, pre, len(tokens)), tokenizer)


def _strings(file: GGUFFile, key: str) -> list[str]:
    """A metadata array of strings.

    Raises:
        SourceError: it is absent or something else.
    """
    items = file.require(key)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise SourceError(file.path, f"metadata key {key} is not an array of strings")
    return items


def _merge_pair(line: str) -> tuple[str, str]:
    # A token may itself begin with a space-free marker, so only the first separator after it counts.
    left, _, right = line[1:].partition(" ")
    return line[:1] + left, right


def _user_defined(file: GGUFFile, tokens: list[str]) -> list[AddedToken]:
    types: Any = file.metadata.get("tokenizer.ggml.token_type", [])
    names = [token for token, kind in zip(tokens, types, strict=False) if kind == _USER_DEFINED]
    return [AddedToken(name, normalized=False, special=False) for name in names]


def _bos_id(file: GGUFFile, pre: str, vocabulary_size: int) -> int | None:
    """The BOS id when the model adds it: byte-level BPE does not unless told, llama-bpe does."""
    adds = bool(file.metadata.get("tokenizer.ggml.add_bos_token", pre == "llama-bpe"))
    bos = file.metadata.get("tokenizer.ggml.bos_token_id")
    if not adds or bos is None:
        return None
    if not isinstance(bos, int) or not 0 <= bos < vocabulary_size:
        raise SourceError(file.path, f"tokenizer.ggml.bos_token_id {bos!r} is not a token")
    return bos
