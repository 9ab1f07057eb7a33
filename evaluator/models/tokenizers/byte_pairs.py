"""Byte-pair encoding of texts without added tokens, by the tokenizers library."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from tokenizers import Tokenizer, models

from evaluator.models.tokenizers.pretokenizers import PreTokenization

_SPACE = "▁"
_LINES = re.compile(r"[^\n]+|\n+")
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
        model = models.BPE(dict(ids), list(merges), ignore_merges=splitting.ignore_merges)
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = splitting.build()
        return lambda text: list(tokenizer.encode(text).ids)
    if missing := [token for token in _BYTES if token not in ids]:
        raise ValueError(f"there are no tokens for {len(missing)} bytes, such as {missing[0]}")
    plain = Tokenizer(models.BPE(dict(ids), list(merges), byte_fallback=True))

    def encode(text: str) -> list[int]:
        found: list[int] = []
        for part in _LINES.findall(text.replace(" ", _SPACE)):
            whole = ids.get(part) if splitting.whole_line_ends and part[0] == "\n" else None
            found.extend(plain.encode(part).ids if whole is None else [whole])
        return found

    return encode
