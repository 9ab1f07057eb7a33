"""Write labels at points, in their methods' colours and clear of points, lines and other texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.figures.callouts import BOLD, CHARACTER, MARKER, SMALL, Box, Label, place
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Point, Ranges, shares
from dashboard.style import names

#: Name of the annotations that are labels: the page hides those that have no room in a small window.
LABEL = "label"
#: Diameter of a ring around a point in pixels.
RING = 22
_FAINT = 0.7


@dataclass(frozen=True)
class Labelled:
    """A point with its label: its place in axis units, decades on a log axis, and the colour of its method.

    `look` replaces the settings of a label, for a text with colours of its own.
    """

    point: Point
    label: Label
    color: str
    is_faint: bool = False
    look: dict[str, Any] | None = None


def label(text: str, rank: int, *, bold: bool = False, more: str = "", ringed: bool = False) -> Label:
    """Return the label with a text, bold if asked, followed by `more`; it keeps clear of its point's ring."""
    shown = names.in_figure(text)
    width = (BOLD if bold else CHARACTER) * len(text) + CHARACTER * len(more)
    whole = f"{f'<b>{shown}</b>' if bold else shown}{names.in_figure(more)}"
    return Label(whole, width, rank, *([RING / 2 + 1] if ringed else []))


def write(
    drawn: Drawing,
    items: Sequence[Labelled],
    ranges: Ranges,
    lines: Sequence[Sequence[Point]] = (),
    taken: Sequence[Box] = (),
    points: Sequence[Point] = (),
) -> None:
    """Add the labels that have room as annotations, the lowest rank first, which stays where others are hidden.

    Args:
        drawn: the figure.
        items: labels and their points, all of which they keep clear of.
        ranges: of the axes, in the unit of the points.
        lines: lines that labels avoid, in shares of the plot.
        taken: boxes of other texts, in shares.
        points: points without a label, in axis units.
    """
    right, up = MARKER / SMALL[0], MARKER / SMALL[1]
    marks = [(x - right, y - up, x + right, y + up) for x, y in shares(points, ranges)]
    own, labels = shares([item.point for item in items], ranges), [item.label for item in items]
    places = place(own, labels, lines, [*taken, *marks])
    ranked = sorted(zip(items, places, strict=True), key=lambda pair: pair[0].label.rank)
    for item, spot in ranked:
        if spot is not None:
            look = _look(item) if item.look is None else item.look
            drawn.add_annotation(**spot.annotation(item.label, *item.point, **look))


def _look(item: Labelled) -> dict[str, Any]:
    """Return a label's settings; its colour is the one of that name in the theme's template."""
    faint = {"opacity": _FAINT} if item.is_faint else {}
    return {"name": LABEL, "templateitemname": item.color, "visible": True, **faint}
