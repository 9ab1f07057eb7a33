"""Byte-pair encoding of texts without added tokens, by the tokenizers library."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from tokenizers import Tokenizer, models, pre_tokenizers

from evaluator.models.tokenizers.pretokenizers import PreTokenization

_SPACE = "▁"
_LINES = re.compile(r"[^\n]+|\n+")
#: Stands for bytes without a token; no token of a file is written so.
_LEFT_OUT = "\0 no token"
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def part_encoder(
    ids: Mapping[str, int], merges: Sequence[tuple[str, str]], splitting: PreTokenization
) -> Callable[[str], list[int]]:
    """Return a function from a text to its token ids.

    Args:
        ids: token → id.
        merges: pairs of tokens in the order in which they are merged.
        splitting: how texts are split before.

    Raises:
        Exception: the tables contradict each other; the library has no class of its own.
    """
    if splitting.byte_level:
        return _byte_level(ids, merges, splitting)
    if missing := [token for token in _BYTES if token not in ids]:
        raise ValueError(f"there are no tokens for {len(missing)} bytes, such as {missing[0]}")
    tokenizer = Tokenizer(models.BPE(dict(ids), list(merges), byte_fallback=True))

    def encode(text: str) -> list[int]:
        found: list[int] = []
        for part in _LINES.findall(text.replace(" ", _SPACE)):
            whole = ids.get(part) if splitting.whole_line_ends and part[0] == "\n" else None
            found.extend(tokenizer.encode(part).ids if whole is None else [whole])
        return found

    return encode


def _byte_level(
    ids: Mapping[str, int], merges: Sequence[tuple[str, str]], splitting: PreTokenization
) -> Callable[[str], list[int]]:
    """Encode in the byte-level alphabet; bytes without a token are left out, but nothing is merged across them."""
    complete = all(symbol in ids for symbol in pre_tokenizers.ByteLevel.alphabet())
    unknown = {} if complete else {_LEFT_OUT: max(ids.values()) + 1}
    model = models.BPE(
        {**ids, **unknown},
        list(merges),
        ignore_merges=splitting.ignore_merges,
        unk_token=None if complete else _LEFT_OUT,
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = splitting.build()
    if complete:
        return lambda text: list(tokenizer.encode(text).ids)
    (left_out,) = unknown.values()
    return lambda text: [index for index in tokenizer.encode(text).ids if index != left_out]
