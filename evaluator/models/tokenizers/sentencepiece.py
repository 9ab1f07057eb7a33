"""SentencePiece's byte-pair merging as in llama.cpp: the pair with the best score first, of equals the leftmost.

The tokenizers library uses a rank table, which cannot express "the leftmost of equal scores". Some vocabularies need
that, so the merging is implemented here.

Texts are first cut wherever two adjacent characters are adjacent in no token, which is mostly between words. A merge
across such a place would make a token that contains both characters, so there is none; merges in one segment change
no symbol of another, so their order among segments does not affect the result. The ids of short segments are kept,
because words recur.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from evaluator.models.text_rules import NO_RULES, TextRules
from evaluator.models.tokenizers.added_tokens import WHITE_SPACE, fragments

_SPACE = "▁"
#: Stands for a character without a token until unknown tokens are fused.
_NO_TOKEN = -1
#: Segments up to this many characters are kept, up to this many of them.
_KEPT_CHARACTERS, _KEPT_SEGMENTS = 32, 1 << 17
#: Characters that are searched for cuts at a time; bounds the memory for long texts.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class SentencePiece:
    """A vocabulary with scores.

    Attributes:
        ids: token → id.
        scores: score per id; higher scores merge first.
        added: tokens that are cut out of the text before merging.
        unknown_id: id of a character that has neither a token nor byte tokens.
        space_prefix: whether a space is put before texts, and before the text after an added token.
        rules: other rules of the tokenizer.
    """

    ids: Mapping[str, int]
    scores: Sequence[float]
    added: Sequence[str]
    unknown_id: int
    space_prefix: bool
    rules: TextRules = NO_RULES
    _kept: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def encode(self, text: str) -> list[int]:
        """Return the token ids of `text`."""
        ids: list[int] = []
        for fragment, is_token in fragments(text, self.added, self.rules):
            if is_token:
                ids.append(self.ids[fragment])
            else:
                prefixed = f" {fragment}" if self.space_prefix else fragment
                ids.extend(self._encode_fragment(prefixed.replace(" ", _SPACE)))
        return ids

    def safe_cuts(self, text: str) -> list[int]:
        """Return the places, ascending, where the ids of the text before are the first ids of the whole text.

        Added tokens across a place are not considered. None follows white space, which a token may strip.
        """
        places = self._cuts(text.replace(" ", _SPACE)).tolist()
        return [place for place in places if text[place - 1] not in WHITE_SPACE]

    @cached_property
    def _pairs(self) -> npt.NDArray[np.uint64]:
        """All pairs of characters that are adjacent in a token, sorted."""
        lengths = np.fromiter(map(len, self.ids), np.int64, len(self.ids))
        pairs = _pairs_of("".join(self.ids))
        inside = np.ones(len(pairs) + 1, bool)
        inside[np.cumsum(lengths)[lengths > 0] - 1] = False
        return np.unique(pairs[inside[:-1]])

    def _cuts(self, text: str) -> npt.NDArray[np.int64]:
        """Return the places between adjacent characters that are adjacent in no token, ascending."""
        found = [np.empty(0, np.int64)]
        for start in range(0, len(text) - 1, _BLOCK):
            pairs = _pairs_of(text[start : start + _BLOCK + 1])
            places = np.searchsorted(self._pairs, pairs)
            known = np.append(self._pairs, np.uint64(0))[places] == pairs
            found.append(np.flatnonzero(~known) + start + 1)
        return np.concatenate(found)

    def _encode_fragment(self, text: str) -> Iterator[int] | list[int]:
        ids: list[int] = []
        for start, end in pairwise([0, *self._cuts(text).tolist(), len(text)]):
            segment = text[start:end]
            known = self._kept.get(segment)
            ids += self._encode_segment(segment) if known is None else known
        return self._with_unknown(ids) if _NO_TOKEN in ids else ids

    def _with_unknown(self, ids: Iterable[int]) -> Iterator[int]:
        """Replace characters without a token by the unknown token, adjacent ones by one if the rules fuse them."""
        previous = 0
        for index in ids:
            if index != _NO_TOKEN:
                yield index
            elif previous != _NO_TOKEN or not self.rules.fuses_unknown:
                yield self.unknown_id
            previous = index

    def _encode_segment(self, segment: str) -> list[int]:
        ids = [index for symbol in self._merge(segment) for index in self._tokens(symbol)]
        if len(segment) <= _KEPT_CHARACTERS:
            if len(self._kept) >= _KEPT_SEGMENTS:
                self._kept.clear()
            self._kept[segment] = ids
        return ids

    def _merge(self, text: str) -> Iterable[str]:
        """Merge the characters of a segment; `symbols` is a linked list in which merged symbols become empty."""
        symbols = list(text)
        following = [*range(1, len(symbols)), -1]
        preceding = list(range(-1, len(symbols) - 1))
        queue: list[tuple[float, int, int, str]] = []

        def propose(left: int, right: int) -> None:
            if left < 0 or right < 0:
                return
            merged = symbols[left] + symbols[right]
            if merged in self.ids:
                heapq.heappush(queue, (-self.scores[self.ids[merged]], left, right, merged))

        for left in range(len(symbols) - 1):
            propose(left, left + 1)
        while queue:
            _, left, right, merged = heapq.heappop(queue)
            if not symbols[left] or not symbols[right] or symbols[left] + symbols[right] != merged:
                continue  # outdated: one of the two was merged with another neighbour
            symbols[left], symbols[right] = merged, ""
            following[left] = following[right]
            if following[right] >= 0:
                preceding[following[right]] = left
            propose(preceding[left], left)
            propose(left, following[left])
        return filter(None, symbols)

    def _tokens(self, symbol: str) -> list[int]:
        """Return the token of a symbol, else those of its bytes; the mark of no token if there are neither."""
        if symbol in self.ids:
            return [self.ids[symbol]]
        as_bytes = [self.ids.get(f"<0x{byte:02X}>") for byte in symbol.encode()]
        known = [token for token in as_bytes if token is not None]
        return known if len(known) == len(as_bytes) else [_NO_TOKEN]


def _pairs_of(text: str) -> npt.NDArray[np.uint64]:
    """Return a number for each pair of adjacent characters, uint64 [characters − 1]."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    return codes[:-1] << np.uint64(32) | codes[1:]
