"""SentencePiece's byte-pair merging as in llama.cpp: the pair with the best score first, of equals the leftmost.

The tokenizers library uses a rank table, which cannot express "the leftmost of equal scores". Some vocabularies need
that, so the merging is implemented here.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluator.models.model_file import NO_RULES, TextRules
from evaluator.models.tokenizers.added_tokens import fragments

_SPACE = "▁"


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

    def encode(self, text: str) -> list[int]:
        """Return the token ids of `text`."""
        ids: list[int] = []
        for fragment, is_token in fragments(text, self.added, self.rules):
            if is_token:
                ids.append(self.ids[fragment])
            else:
                prefixed = f" {fragment}" if self.space_prefix else fragment
                ids.extend(self._merge(prefixed.replace(" ", _SPACE)))
        return ids

    def _merge(self, text: str) -> list[int]:
        """Merge the characters of a fragment; `symbols` is a linked list in which merged symbols become empty."""
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
        ids: list[int] = []
        after_unknown = False
        for symbol in filter(None, symbols):
            known = self._tokens(symbol)
            if known or not (after_unknown and self.rules.fuses_unknown):
                ids.extend(known or [self.unknown_id])
            after_unknown = not known
        return ids

    def _tokens(self, symbol: str) -> list[int]:
        """Return the token of a symbol, else those of its bytes; none if there are neither."""
        if symbol in self.ids:
            return [self.ids[symbol]]
        as_bytes = [self.ids.get(f"<0x{byte:02X}>") for byte in symbol.encode()]
        known = [token for token in as_bytes if token is not None]
        return known if len(known) == len(as_bytes) else []
