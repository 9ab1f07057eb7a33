"""Boxes that overlap and lines that cross them, in plots of two sizes."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.figures.boxes import Floats, cross, may_overlap


def boxes(*each_at_sizes: tuple[tuple[float, ...], ...]) -> Floats:
    return np.array(each_at_sizes, dtype=np.float64).transpose(2, 1, 0)


def test_boxes_are_apart_if_one_is_beside_the_other_at_all_sizes() -> None:
    here = boxes(((0, 0, 2, 2), (0, 0, 2, 2)))
    touching = ((2, 0, 4, 2), (2, 1, 4, 3))
    beside_then_above = ((3, 0, 4, 2), (1, 3, 4, 4))
    inside = ((5, 5, 6, 6), (1, 1, 1.5, 1.5))
    found = may_overlap(here, boxes(touching, beside_then_above, inside))
    assert found.tolist() == [[False, True, True]]


@pytest.mark.parametrize(
    ("line", "is_crossing"),
    [
        ((-1, 1, 3, 1), True),
        ((1, 1, 1, 1), True),
        ((1, -1, 1, 3), True),
        ((2, -1, 2, 3), True),
        ((3, 0, 3, 3), False),
        ((-1, 1, -0.5, 1), False),
        ((1.5, 3, 3, 1.5), False),
        ((1, 3, 3, 0), True),
    ],
)
def test_lines_cross_a_box_also_at_its_edge(line: tuple[float, ...], is_crossing: bool) -> None:
    """The two oblique lines pass its corner (2, 2) on either side: x + y = 4.5, and 3 x + 2 y = 9."""
    found = cross(boxes(((0, 0, 2, 2), (9, 9, 10, 10))), boxes((line, line)))
    assert found.tolist() == [[[is_crossing]], [[False]]]
