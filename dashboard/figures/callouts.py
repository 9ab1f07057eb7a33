"""Label every point of a plot: next to it if there is room, else further away with a thin line to the point.

Labels keep their size and their distance from the point, in pixels, whatever the size of the plot. A place counts
as free if nothing overlaps there in any plot between `SMALL` and `LARGE`: two boxes stay apart if one is right of
the other, or above it, in both. A line may cross a label between these sizes, so a usual size is looked at too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Width and height of the smallest and the largest plot in pixels, and of a usual one, which is less wide.
SMALL, LARGE, _USUAL = (550, 250), (1000, 600), (760, 560)
_SIZES = np.array([SMALL, _USUAL, LARGE], dtype=np.float64)[:, None, :]
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
Floats = NDArray[np.float64]
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
    at = np.array(points, dtype=np.float64).reshape(1, -1, 2) * _SIZES
    radius = np.array([label.radius for label in labels])[:, None]
    marks = np.concatenate([at - radius, at + radius], axis=2)
    ends = [[*one, *two] for line in lines for one, two in pairwise(line)]
    curves = np.array(ends, dtype=np.float64).reshape(1, -1, 4) * np.tile(_SIZES, 2)
    written = np.array(taken, dtype=np.float64).reshape(1, -1, 4) * np.tile(_SIZES, 2)
    placed: list[Place | None] = [None] * len(labels)
    ranked = sorted(range(len(labels)), key=lambda index: (labels[index].rank, -points[index][1], index))
    groups = (list(group) for _, group in groupby(ranked[:MOST], key=lambda index: labels[index].rank))
    for own, strict in ((own, strict) for group in groups for strict in (True, False) for own in group):
        if placed[own] is not None:
            continue
        others = np.delete(marks, own, axis=1)
        found = _best(at[:, own : own + 1], labels[own], others, written, curves, strict=strict)
        if found is not None:
            placed[own], box = found
            written = np.concatenate([written, box], axis=1)
    return placed


def _best(
    point: Floats, label: Label, marks: Floats, written: Floats, curves: Floats, *, strict: bool
) -> tuple[Place, Floats] | None:
    """Return the nearest free place of a label that no curve crosses, and its box.

    Else it is the nearest one that no curve through the point, such as its error bar, crosses; else the nearest one.
    Its line to the point crosses no label if `strict`. The first axis of all arrays is the size of the plot.
    """
    half = np.array([label.width / 2, LINE / 2])
    blocked = np.concatenate([marks, written], axis=1)
    own = curves[:, _cross(np.concatenate([point - 0.5, point + 0.5], axis=2), curves).all(axis=(0, 1))]
    found: dict[str, tuple[Place, Floats]] = {}
    for places in _rings(label):
        centres = point + np.array([(place.right, place.up) for place in places])
        boxes = np.concatenate([centres - half, centres + half], axis=2)
        free = np.flatnonzero(_is_inside(boxes) & ~_may_overlap(boxes, blocked).any(axis=1))
        if strict and free.size and places[0].far:
            leaders = np.concatenate([np.broadcast_to(point, centres.shape), centres], axis=2)[:, free]
            free = free[~_cross(written, leaders).any(axis=(0, 1))]
        if not free.size:
            continue
        clear = free[~_cross(boxes[:, free], curves).any(axis=(0, 2))]
        if clear.size:
            return places[clear[0]], boxes[:, clear[:1]]
        aside = free[~_cross(boxes[:, free], own).any(axis=(0, 2))]
        for name, among in (("aside", aside), ("any", free)):
            if among.size:
                found.setdefault(name, (places[among[0]], boxes[:, among[:1]]))
    return found.get("aside") or found.get("any")


def _is_inside(boxes: Floats) -> NDArray[np.bool_]:
    room = np.array([_OUTSIDE, 0.0])
    result: NDArray[np.bool_] = ((boxes[..., :2] >= 0) & (boxes[..., 2:] <= _SIZES + room)).all(axis=(0, 2))
    return result


def _rings(label: Label) -> Iterator[list[Place]]:
    """Yield the places next to a point, then those on ellipses around it, the nearest first."""
    width, more = label.width, label.radius - MARKER
    side, diagonal = width / 2 + label.radius + _GAP / 2, width / 2 + _GAP + more
    near = [
        (side, 0.0),
        (-side, 0.0),
        (diagonal, 10.0),
        (-diagonal, -10.0),
        (diagonal, -10.0),
        (-diagonal, 10.0),
    ]
    yield [Place(*spot, far=False) for spot in (*near, (0.0, LINE + more), (0.0, -LINE - more))]
    for ring in _RINGS:
        spots = [(math.cos(angle), math.sin(angle)) for angle in _ANGLES]
        yield [
            Place(round(right * (ring + more + width / 2), 1), round(up * (ring + more), 1), far=True)
            for right, up in spots
        ]


def _may_overlap(boxes: Floats, others: Floats) -> NDArray[np.bool_]:
    """Return which of `boxes` (rows) overlap which of `others` (columns) in a plot of some size."""
    one, two = boxes[:, :, None, :], others[:, None, :, :]
    before = np.all(one[..., 2:] <= two[..., :2], axis=0)
    after = np.all(two[..., 2:] <= one[..., :2], axis=0)
    result: NDArray[np.bool_] = ~np.any(before | after, axis=-1)
    return result


def _cross(boxes: Floats, segments: Floats) -> NDArray[np.bool_]:
    """Return, at each size, which boxes (rows) which segments (columns) cross: Liang and Barsky's clipping."""
    start = segments[:, None, :, :2]
    step = segments[:, None, :, 2:] - start
    low, high = boxes[:, :, None, :2], boxes[:, :, None, 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (low - start) / step, (high - start) / step
    still, inside = step == 0, (low <= start) & (start <= high)
    first = np.where(still, np.where(inside, 0.0, np.inf), np.minimum(one, two)).max(axis=-1)
    last = np.where(still, np.where(inside, 1.0, -np.inf), np.maximum(one, two)).min(axis=-1)
    result: NDArray[np.bool_] = np.maximum(first, 0) <= np.minimum(last, 1)
    return result
