"""Suggest known names that are similar to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Smallest difflib ratio of two names that count as similar.
_MIN_RATIO = 0.6


def did_you_mean(name: str, known: Iterable[str], limit: int = 1) -> str:
    """Return `; did you mean …?` with the most similar names, ignoring case; empty if none is similar."""
    folded = {item.lower(): item for item in known}
    near = [folded[item] for item in difflib.get_close_matches(name.lower(), folded, limit, _MIN_RATIO)]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def nearest(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return `did_you_mean`'s text, or the first known names if none is similar."""
    names = list(known)
    if near := did_you_mean(name, names, limit):
        return near
    return f" (known: {', '.join(names[:limit])}{', …' if len(names) > limit else ''})" if names else ""
