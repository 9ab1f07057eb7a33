"""Suggests known names that somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: How alike two names have to be, by difflib's ratio.
_ALIKE = 0.6


def did_you_mean(name: str, known: Iterable[str], limit: int = 1) -> str:
    """`; did you mean …?` with the known names that are most like `name` in any case; empty when none is."""
    folded = {item.lower(): item for item in known}
    near = [folded[item] for item in difflib.get_close_matches(name.lower(), folded, limit, _ALIKE)]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def nearest(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Like `did_you_mean`, with the first known names when none is like `name`."""
    names = list(known)
    if near := did_you_mean(name, names, limit):
        return near
    return f" (known: {', '.join(names[:limit])}{', …' if len(names) > limit else ''})" if names else ""
