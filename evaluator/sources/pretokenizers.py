"""How each `tokenizer.ggml.pre` name splits text before byte-pair merging.

One entry per name, because a wrong split gives plausible but different ids: an unknown name is an error, not
a guess. The expressions are the ones the model families publish in their own tokenizer files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tokenizers import Regex, pre_tokenizers

_LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2_PATTERN = _LLAMA3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")


@dataclass(frozen=True)
class PreTokenization:
    """A splitter, and whether whole words that are tokens skip the merges."""

    build: Callable[[], pre_tokenizers.PreTokenizer]
    ignore_merges: bool = False


def _byte_level(*, split_words: bool) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split_words)


def _by_pattern(pattern: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)
    return pre_tokenizers.Sequence([split, _byte_level(split_words=False)])


def _single_digits() -> pre_tokenizers.PreTokenizer:
    digits = pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.Sequence([digits, _byte_level(split_words=True)])


PRE_TOKENIZERS: Mapping[str, PreTokenization] = {
    "gpt-2": PreTokenization(lambda: _byte_level(split_words=True)),
    "smollm": PreTokenization(_single_digits),
    "llama-bpe": PreTokenization(lambda: _by_pattern(_LLAMA3_PATTERN), ignore_merges=True),
    "qwen2": PreTokenization(lambda: _by_pattern(_QWEN2_PATTERN)),
}
