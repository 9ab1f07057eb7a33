"""Rules of a tokenizer that GGUF has no keys for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TextRules:
    """Rules of a tokenizer besides splitting and merging; GGUF has no keys for them.

    Attributes:
        composed: whether texts are first normalized to Unicode's composed form (NFC).
        strips_before: tokens that remove the white space before them.
        strips_after: tokens that remove the white space after them.
        fuses_unknown: whether adjacent characters without a token become one unknown token.
        merges_in_order: whether merges have the order that the model was trained with.
    """

    composed: bool = False
    strips_before: frozenset[str] = frozenset()
    strips_after: frozenset[str] = frozenset()
    fuses_unknown: bool = False
    merges_in_order: bool = True


#: No further rules.
NO_RULES = TextRules()
