"""Encode no more of a text than its first tokens need.

The text is encoded up to a *safe cut*: a place where the ids of the text before are the first ids of the whole text,
whatever follows. Texts without safe cuts, such as tables of numbers without line ends, are encoded whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tokenizers import normalizers

#: Characters per token that are tried first.
_CHARACTERS_PER_TOKEN = 5
#: Characters that all splitting patterns take for letters or digits and that no normalization changes.
_WORD = "0-9A-Za-zÀ-ÖØ-öø-ÿΑ-ΡΣ-Ωα-ωЀ-ҁҊ-ӿぁ-ゖァ-ヺ一-龥가-힣"
_AFTER_WORD = re.compile(rf"(?<=[{_WORD}])(?= ?[,.!?()|\r\n。，、])")

# Like the places above, these follow no white space, which an added token may strip.
_BEFORE_NUMBER = re.compile(r"(?<=[A-Za-z,.(\-])(?=[0-9])")
_LINE_END = re.compile(r"(?<=\S)(?=\n)")

Encode = Callable[[str], Sequence[int]]


def cuts_after_words(text: str) -> list[int]:
    """Return safe cuts of a text for byte-level BPE, ascending: the ends of words before a mark or a line end.

    No pattern that splits texts continues a word with such a mark, with a line end, or with a space before one of
    them. So a word ends there, or where the text ends, and what follows affects no match before it: patterns look
    ahead only within a word or white space. Composing characters (NFC) never joins two at such a place.
    """
    return [match.start() for match in _AFTER_WORD.finditer(text)]


def cuts_before_numbers(text: str) -> list[int]:
    """Return safe cuts of a text whose words end at numbers only, ascending."""
    return [match.start() for match in _BEFORE_NUMBER.finditer(text)]


def cuts_at_line_ends(text: str) -> list[int]:
    """Return safe cuts of a text whose words are lines and the ends between them, ascending."""
    return [match.start() for match in _LINE_END.finditer(text)]


@dataclass(frozen=True)
class FirstTokens:
    """How a tokenizer's texts can be cut.

    Attributes:
        safe_cuts: returns safe cuts of a text, ascending, as if there were no added tokens.
        added: tokens that are cut out of texts before splitting.
        composed: whether texts are first normalized to Unicode's composed form (NFC).
    """

    safe_cuts: Callable[[str], Sequence[int]]
    added: Sequence[str] = ()
    composed: bool = False

    def ids(self, text: str, limit: int, encode: Encode, control: Iterable[str] = ()) -> Sequence[int]:
        """Return the first `limit` ids of `encode(text)`; `control` are tokens that are cut out too."""
        added = [*self.added, *control]
        size = limit * _CHARACTERS_PER_TOKEN
        while size < len(text):
            ids = encode(self._beginning(text[:size], added))
            if len(ids) >= limit:
                return ids[:limit]
            size *= 2
        return encode(text)[:limit]

    def _beginning(self, text: str, added: Sequence[str]) -> str:
        """Return `text` up to the last safe cut that is in no added token; empty if there is none."""
        cuts = self.safe_cuts(text)
        known = text[: cuts[-1]] if cuts else ""  # composed alike, whatever follows
        for cut in reversed(cuts):
            if not self._may_cross(known[:cut], known[cut:], added):
                return known[:cut]
        return ""

    def _may_cross(self, before: str, after: str, added: Sequence[str]) -> bool:
        """Return whether an added token begins in `before` and ends in `after`, or behind its end."""
        crosses = _crosses(before, after, added)
        return crosses or (self.composed and _crosses(_composed(before), _composed(after), added))


#: For tokenizers whose texts are not cut.
WHOLE_TEXTS = FirstTokens(lambda _: ())


def _crosses(before: str, after: str, added: Sequence[str]) -> bool:
    if len(after) < max(map(len, added), default=1) - 1:
        return True
    pair = before[-1:] + after[:1]
    return any(
        pair in token and token in before[-len(token) + 1 :] + after[: len(token) - 1]
        for token in added
        if len(token) > 1
    )


def _composed(text: str) -> str:
    return str(normalizers.NFC().normalize_str(text))
