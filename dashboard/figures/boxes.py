"""Find out which boxes overlap, and which lines cross them, in plots of several sizes at once.

Boxes and segments are arrays with the axes (left, bottom, right, top; size of the plot; box), in any unit; a
segment's four numbers are those of its ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Distance between a box and that around a line from which the two are clear of each other without clipping.
_NEARLY = 1e-6


def may_overlap(boxes: Floats, others: Floats) -> NDArray[np.bool_]:
    """Return which of `boxes` (rows) share more than an edge with which of `others` (columns).

    Two boxes are apart if one is right of the other, or above it, at all sizes.
    """
    one, two = boxes[..., None], others[:, :, None]
    before = np.all(one[2:] <= two[:2], axis=1)
    after = np.all(two[2:] <= one[:2], axis=1)
    result: NDArray[np.bool_] = ~np.any(before | after, axis=0)
    return result


def cross(boxes: Floats, segments: Floats) -> NDArray[np.bool_]:
    """Return, at each size, which boxes (rows) which segments (columns) cross; only near ones are clipped."""
    one, two = boxes[..., None], segments[:, :, None]
    low, high = np.minimum(two[:2], two[2:]), np.maximum(two[:2], two[2:])
    result: NDArray[np.bool_] = np.all((low <= one[2:] + _NEARLY) & (high >= one[:2] - _NEARLY), axis=0)
    size, row, column = np.nonzero(result)
    result[size, row, column] = _clipped(boxes[:, size, row], segments[:, size, column])
    return result


def _clipped(boxes: Floats, segments: Floats) -> NDArray[np.bool_]:
    """Return which box the segment at its index crosses: Liang and Barsky's clipping."""
    start = segments[:2]
    step, low, high = segments[2:] - start, boxes[:2], boxes[2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (low - start) / step, (high - start) / step
    still, inside = step == 0, (low <= start) & (start <= high)
    first = np.where(still, np.where(inside, 0.0, np.inf), np.minimum(one, two)).max(axis=0)
    last = np.where(still, np.where(inside, 1.0, -np.inf), np.maximum(one, two)).min(axis=0)
    result: NDArray[np.bool_] = np.maximum(first, 0) <= np.minimum(last, 1)
    return result
