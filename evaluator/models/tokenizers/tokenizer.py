"""Build tokenizers from a GGUF file's vocabulary that give the same ids as llama.cpp."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import TokenType
from tokenizers import normalizers

from evaluator.models.model_file import ModelFile
from evaluator.models.text_rules import NO_RULES, TextRules
from evaluator.models.tokenizers.added_tokens import added_tokens, fragments
from evaluator.models.tokenizers.byte_pairs import part_encoder
from evaluator.models.tokenizers.first_tokens import WHOLE_TEXTS, Encode, FirstTokens
from evaluator.models.tokenizers.scheme import needs_scheme, scheme_name, splitting_of
from evaluator.models.tokenizers.sentencepiece import SentencePiece
from evaluator.support.errors import SourceError

#: llama.cpp's default BOS by tokenizer kind if the file names none, and pre-tokenizers without a default.
_DEFAULT_BOS, _NO_DEFAULT_BOS = {"llama": 1, "gpt2": 11}, ("glm4", "glm5", "chatglm-bpe")
#: Models, by name, whose special tokens strip the white space after them, and the exceptions; there is no key for it.
_STRIPPING, _NOT_STRIPPING = ("phi-3", "phi3"), frozenset(("<unk>", "<s>", "<|endoftext|>"))
_USER_DEFINED = int(TokenType.USER_DEFINED)
_SPECIAL = (int(TokenType.CONTROL), _USER_DEFINED, int(TokenType.UNKNOWN))
_SPACE_PREFIX, _ADD_BOS = "tokenizer.ggml.add_space_prefix", "tokenizer.ggml.add_bos_token"
_MERGES, _SCORES = "tokenizer.ggml.merges", "tokenizer.ggml.scores"


@dataclass(frozen=True)
class TextTokenizer:
    """Converts text to ids, without special tokens. `bos_id` is set if the model adds BOS to each window."""

    vocabulary_size: int
    bos_id: int | None
    _encode: Encode = field(repr=False)
    rules: TextRules = NO_RULES
    _first: FirstTokens = field(default=WHOLE_TEXTS, repr=False)

    def encode(self, text: str, limit: int | None = None) -> npt.NDArray[np.int32]:
        """Return the token ids of a text, int32 [n_tokens]; control tokens in it are plain text.

        Args:
            text: the text.
            limit: return only this many ids at most, the first of the whole text's; the rest of the text is not
                encoded, except for a part near them.
        """
        return self.encode_with(self._encode, text, limit)

    def encode_with(
        self, encode: Encode, text: str, limit: int | None = None, control: Iterable[str] = ()
    ) -> npt.NDArray[np.int32]:
        """Return the ids, int32 [n_tokens], that `encode` gives the text; `limit` as for this class's `encode`.

        Args:
            encode: cuts `control` out of a text and encodes the parts between them with this tokenizer.
            text: the text.
            limit: the number of ids.
            control: the tokens.
        """
        ids = encode(text) if limit is None else self._first.ids(text, limit, encode, control)
        return np.asarray(ids, dtype=np.int32)


def vocabulary_digest(file: ModelFile) -> str:
    """Return a digest of what determines token ids (tokens, merges, scores, splitting): equal digests, equal ids.

    Files that do not name their pre-tokenizer never have the digest of one that does.

    Raises:
        SourceError: the file has no vocabulary, its tables are damaged, or its pre-tokenizer is not known.
    """
    digest = hashlib.sha256()
    kind = str(file.metadata.get("tokenizer.ggml.model"))
    splitting: object = None
    if not needs_scheme(file):
        splitting = file.single(_SPACE_PREFIX, True)
    elif scheme_name(file) is not None:  # several names mean the same splitting
        splitting = splitting_of(file)
    digest.update(f"{kind} {splitting}".encode())
    tokens = _strings(file, "tokenizer.ggml.tokens")
    merges = _strings(file, _MERGES) if _MERGES in file.metadata else []
    for items in (tokens, merges):
        digest.update("\x00".join(items).encode())
    if _SCORES in file.metadata:
        digest.update(_scores(file, len(tokens)).tobytes())
    return digest.hexdigest()


def tokenizer_from_gguf(file: ModelFile) -> TextTokenizer:
    """Build the tokenizer that the file describes.

    Raises:
        SourceError: the tokenizer's kind or its pre-tokenizer is not known, or its tables are damaged.
    """
    kind = str(file.require("tokenizer.ggml.model"))
    if kind not in _KINDS:
        raise SourceError(file.path, f"tokenizer kind {kind!r} is not supported; known: {', '.join(_KINDS)}")
    tokens = _strings(file, "tokenizer.ggml.tokens")
    if len(set(tokens)) < len(tokens) and (twice := _first_twice(tokens)):
        raise SourceError(
            file.path, f"token {twice[:60]!r} is in its vocabulary twice, so its id is not known"
        )
    encode, first, adds_bos = _KINDS[kind](file, tokens)
    bos_id = _bos_id(file, len(tokens)) if adds_bos else None
    return TextTokenizer(len(tokens), bos_id, encode, _text_rules(file, tokens), first)


def _first_twice(tokens: list[str]) -> str | None:
    """Return the first token that is there twice; several may be empty."""
    return next((token for token, count in Counter(tokens).items() if count > 1 and token), None)


def _byte_pairs(file: ModelFile, tokens: list[str]) -> tuple[Encode, FirstTokens, bool]:
    """Build byte-pair encoding; return its encoder, how texts are cut, and whether it adds BOS."""
    splitting = splitting_of(file)
    added, rules = _added_tokens(file, tokens), _text_rules(file, tokens)
    ids = {token: index for index, token in enumerate(tokens)}
    try:
        merges = [_merge_pair(line) for line in _strings(file, _MERGES)]
        encode_part = part_encoder(ids, merges, splitting)
    except Exception as error:  # the library raises a bare Exception for inconsistent tables
        raise SourceError(file.path, f"damaged tokenizer tables: {error}") from error

    def encode(text: str) -> list[int]:
        found: list[int] = []
        composed = normalizers.NFC().normalize_str(text) if rules.composed else text
        for fragment, is_token in fragments(composed, added, rules):
            found.extend([ids[fragment]] if is_token else encode_part(fragment))
        return found

    adds_bos = splitting.insists_on_bos or bool(file.single(_ADD_BOS, splitting.adds_bos))
    return encode, FirstTokens(splitting.safe_cuts, added, rules.composed), adds_bos


def _sentencepiece(file: ModelFile, tokens: list[str]) -> tuple[Encode, FirstTokens, bool]:
    """Build SentencePiece; return its encoder, how texts are cut, and whether it adds BOS."""
    scores = _scores(file, len(tokens))
    unknown = file.metadata.get("tokenizer.ggml.unknown_token_id", 0)
    if not isinstance(unknown, int) or not 0 <= unknown < len(tokens):
        raise SourceError(file.path, f"tokenizer.ggml.unknown_token_id {unknown!r} is not a token")
    model = SentencePiece(
        ids={token: index for index, token in enumerate(tokens)},
        scores=scores.tolist(),
        added=_added_tokens(file, tokens),
        unknown_id=unknown,
        space_prefix=bool(file.single(_SPACE_PREFIX, True)),
        rules=_text_rules(file, tokens),
    )
    return model.encode, FirstTokens(model.safe_cuts, model.added), bool(file.single(_ADD_BOS, True))


#: `tokenizer.ggml.model` → how its tokenizer is built.
_KINDS: Mapping[str, Callable[[ModelFile, list[str]], tuple[Encode, FirstTokens, bool]]] = {
    "gpt2": _byte_pairs,
    "gemma4": _byte_pairs,
    "llama": _sentencepiece,
}


def _strings(file: ModelFile, key: str) -> list[str]:
    """Return a metadata array of strings.

    Raises:
        SourceError: it is missing or something else.
    """
    items = file.require(key)
    if not isinstance(items, list) or not set(map(type, items)) <= {str}:
        raise SourceError(file.path, f"metadata key {key} is not an array of strings")
    try:
        "".join(items).encode()
    except UnicodeEncodeError:  # JSON can contain lone surrogates
        raise SourceError(file.path, f"metadata key {key} holds halves of characters") from None
    return items


def _scores(file: ModelFile, n_tokens: int) -> npt.NDArray[Any]:
    """Return the scores of the tokens, [n_tokens].

    Raises:
        SourceError: they are missing or something else.
    """
    scores = file.require(_SCORES)
    if not isinstance(scores, np.ndarray) or scores.shape != (n_tokens,) or scores.dtype.kind not in "if":
        raise SourceError(file.path, f"{_SCORES} does not hold a score per token")
    return scores


def _merge_pair(line: str) -> tuple[str, str]:
    # The first character belongs to the left token even if it is a space; the next space is the separator.
    left, _, right = line[1:].partition(" ")
    return line[:1] + left, right


def _types(file: ModelFile) -> list[Any]:
    types = file.metadata.get("tokenizer.ggml.token_type", [])
    if not isinstance(types, (list, np.ndarray)):
        raise SourceError(file.path, "metadata key tokenizer.ggml.token_type is not an array")
    return types if isinstance(types, list) else types.tolist()


def _added_tokens(file: ModelFile, tokens: list[str]) -> list[str]:
    """Return the tokens that are cut out of texts before merging."""
    return added_tokens(tokens, [kind == _USER_DEFINED for kind in _types(file)], file.metadata)


def _text_rules(file: ModelFile, tokens: list[str]) -> TextRules:
    """Return the file's text rules, with llama.cpp's exceptions for models of certain names."""
    name = str(file.single("general.name", "")).lower()
    if not any(part in name for part in _STRIPPING):
        return file.text_rules
    special = {token for token, kind in zip(tokens, _types(file), strict=False) if kind in _SPECIAL}
    return replace(file.text_rules, strips_after=frozenset(special | {"</s>"}) - _NOT_STRIPPING)


def _bos_id(file: ModelFile, vocabulary_size: int) -> int | None:
    """Return the BOS id of a model that adds it; None if there is no such token."""
    bos = file.single("tokenizer.ggml.bos_token_id")
    if bos is None:
        default = _DEFAULT_BOS.get(str(file.require("tokenizer.ggml.model")), vocabulary_size)
        return None if default >= vocabulary_size or scheme_name(file) in _NO_DEFAULT_BOS else default
    if not isinstance(bos, int) or not 0 <= bos < vocabulary_size:
        raise SourceError(file.path, f"tokenizer.ggml.bos_token_id {bos!r} is not a token")
    return bos
