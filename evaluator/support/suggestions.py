"""Names that somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], limit: int = 3) -> str:
    """`; did you mean …?` with the known names that are like `name`, or the first known ones when none is."""
    names = list(known)
    folded = {item.lower(): item for item in names}
    near = [folded[item] for item in difflib.get_close_matches(name.lower(), folded, n=limit, cutoff=0.5)]
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f" (known: {', '.join(names[:limit])}{', …' if len(names) > limit else ''})" if names else ""
