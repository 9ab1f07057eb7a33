"""Label every point of a plot: next to it if there is room, else further away with a thin line to the point.

Labels keep their size and their distance from the point, in pixels, whatever the size of the plot. A place counts
as free if nothing overlaps there in any plot between `SMALL` and `LARGE`: two boxes stay apart if one is right of
the other, or above it, in both. A line may cross a label between these sizes, so a usual size is looked at too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.figures.boxes import Floats, cross, may_overlap

#: Width and height of the smallest and the largest plot in pixels, and of a usual one, which is less wide.
SMALL, LARGE, _USUAL = (550, 250), (1000, 600), (760, 560)
_SIZES = np.array([SMALL, _USUAL, LARGE], dtype=np.float64).T[:, :, None]
#: Pixels: of a character at 11 px and of a bold one, of a line, and from a point's centre to the edge of its marker.
CHARACTER, BOLD, LINE, MARKER = 6.9, 7.7, 13.0, 6.0
#: Most labels; further points have only their hover text.
MOST = 60
_RINGS = (16.0, 24.0, 34.0, 46.0, 60.0, 76.0, 94.0, 114.0, 138.0, 166.0)
#: Directions of a line, those near the horizontal first.
_ANGLES = sorted(
    (math.pi * step / 12 for step in range(24)), key=lambda angle: (round(abs(math.sin(angle)), 6), angle)
)
_GAP = 4.0
#: Pixels that a label may stick out at the right.
_OUTSIDE = 12.0
#: Widths of labels whose places are kept: a page has some dozens.
_MOST_WIDTHS = 512
Point = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """A text for a point: markup of `width` pixels.

    Labels are placed by their `rank`, the lowest first; `radius` is that of what marks the point.
    """

    text: str
    width: float
    rank: int = 0
    radius: float = MARKER


@dataclass(frozen=True)
class Place:
    """The centre of a label, in pixels right of and above its point; `far` labels have a line to the point."""

    right: float
    up: float
    far: bool

    def annotation(self, label: Label, x: float, y: float, **look: Any) -> dict[str, Any]:
        """Return Plotly's annotation for a point at `x`, `y`, in decades on a log axis."""
        anchors = {
            "x": x,
            "y": y,
            "text": label.text,
            "xanchor": "center",
            "yanchor": "middle",
            "borderpad": 0,
        }
        if not self.far:
            return anchors | {"showarrow": False, "xshift": self.right, "yshift": self.up} | look
        line = {
            "arrowhead": 0,
            "arrowwidth": 0.7,
            "standoff": label.radius,
            "arrowcolor": "rgba(128,140,160,0.7)",
        }
        return anchors | {"showarrow": True, "ax": self.right, "ay": -self.up} | line | look


def place(
    points: Sequence[Point],
    labels: Sequence[Label],
    lines: Sequence[Sequence[Point]] = (),
    taken: Sequence[Box] = (),
) -> list[Place | None]:
    """Return the place of every label, None for one without room.

    No label overlaps another, a point or a `taken` box (left, bottom, right, top). The lines of curves are avoided if
    possible. Labels of the lowest rank come first, then those of the upper points.

    Args:
        points: in shares (0 to 1) of the plot's width and height.
        labels: of the points.
        lines: curves, in shares.
        taken: boxes of other texts, in shares.
    """
    at = _in_pixels(points, 2)
    radius = np.array([label.radius for label in labels])
    marks = np.concatenate([at - radius, at + radius])
    curves = _in_pixels([(*one, *two) for line in lines for one, two in pairwise(line)], 4)
    written = _in_pixels(taken, 4)
    placed: list[Place | None] = [None] * len(labels)
    ranked = sorted(range(len(labels)), key=lambda index: (labels[index].rank, -points[index][1], index))
    groups = (list(group) for _, group in groupby(ranked[:MOST], key=lambda index: labels[index].rank))
    for own, strict in ((own, strict) for group in groups for strict in (True, False) for own in group):
        if placed[own] is not None:
            continue
        others = np.delete(marks, own, axis=2)
        found = _best(at[..., own : own + 1], labels[own], others, written, curves, strict=strict)
        if found is not None:
            placed[own], box = found
            written = np.concatenate([written, box], axis=2)
    return placed


def _in_pixels(shares: Sequence[Sequence[float]], length: int) -> Floats:
    """Return points (`length` 2), boxes or segments (4), given in shares, in pixels of a plot of each size."""
    columns = np.array(shares, dtype=np.float64).reshape(-1, length).T[:, None, :]
    return columns * np.tile(_SIZES, (length // 2, 1, 1))


def _best(
    point: Floats, label: Label, marks: Floats, written: Floats, curves: Floats, *, strict: bool
) -> tuple[Place, Floats] | None:
    """Return the nearest free place of a label that no curve crosses, and its box.

    Else it is the nearest one that no curve through the point, such as its error bar, crosses; else the nearest one.
    Its line to the point crosses no label if `strict`. Points are arrays (x, y; size of the plot; point).
    """
    half = np.array([label.width / 2, LINE / 2])[:, None, None]
    blocked = np.concatenate([marks, written], axis=2)
    found: dict[str, tuple[Place, Floats]] = {}
    for places, offsets in _places(label.width, label.radius):
        centres = point + offsets
        boxes = np.concatenate([centres - half, centres + half])
        free = np.flatnonzero(_is_inside(boxes))
        free = free[~may_overlap(boxes[..., free], blocked).any(axis=1)]
        if strict and free.size and places[0].far:
            leaders = np.concatenate([np.broadcast_to(point, centres.shape), centres])[..., free]
            free = free[~cross(written, leaders).any(axis=(0, 1))]
        if not free.size:
            continue
        struck = np.any(cross(boxes[..., free], curves), axis=0)
        clear = free[~struck.any(axis=1)]
        if clear.size:
            return places[clear[0]], boxes[..., clear[:1]]
        own = np.all(cross(np.concatenate([point - 0.5, point + 0.5]), curves), axis=(0, 1))
        aside = free[~struck[:, own].any(axis=1)]
        for name, among in (("aside", aside), ("any", free)):
            if among.size:
                found.setdefault(name, (places[among[0]], boxes[..., among[:1]]))
    return found.get("aside") or found.get("any")


def _is_inside(boxes: Floats) -> NDArray[np.bool_]:
    room = np.array([_OUTSIDE, 0.0])[:, None, None]
    result: NDArray[np.bool_] = np.all((boxes[:2] >= 0) & (boxes[2:] <= _SIZES + room), axis=(0, 1))
    return result


@lru_cache(maxsize=_MOST_WIDTHS)
def _places(width: float, radius: float) -> list[tuple[list[Place], Floats]]:
    """Return the places next to a point, then those on ellipses around it, each with their centres from the point.

    Places come nearest first; the two lists are apart because most labels have room next to their points.
    """
    more = radius - MARKER
    side, diagonal = width / 2 + radius + _GAP / 2, width / 2 + _GAP + more
    near = [
        (side, 0.0),
        (-side, 0.0),
        (diagonal, 10.0),
        (-diagonal, -10.0),
        (diagonal, -10.0),
        (-diagonal, 10.0),
        (0.0, LINE + more),
        (0.0, -LINE - more),
    ]
    spots = [(math.cos(angle), math.sin(angle)) for angle in _ANGLES]
    far = [
        (round(right * (ring + more + width / 2), 1), round(up * (ring + more), 1))
        for ring in _RINGS
        for right, up in spots
    ]
    return [
        ([Place(*spot, far=is_far) for spot in offsets], np.array(offsets).T[:, None, :])
        for is_far, offsets in ((False, near), (True, far))
    ]
