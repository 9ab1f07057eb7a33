"""Names at the ends of lines lie on nothing else where there is room."""

from __future__ import annotations

import pytest

from dashboard.figures.labels import CHARACTER, NAME, STEP, End, Placing, overlap, shares


def test_shares_follow_the_ranges_also_reversed_ones() -> None:
    assert shares([(3.0, -1.0)], ((2.0, 6.0), (-2.0, 2.0))) == [(0.25, 0.25)]
    assert shares([(3.0, -1.0)], ((2.0, 6.0), (2.0, -2.0))) == [(0.25, 0.75)]


def test_a_name_stands_beside_the_right_end() -> None:
    right, left = (0.6, 0.3), (0.1, 0.9)
    end = Placing([right, left], [[left, right]]).at_end(right, left, "main")
    assert end == End(pytest.approx(0.615), pytest.approx(0.3), "left")


def test_names_of_lines_that_end_together_stand_below_each_other() -> None:
    ends = [(0.6, 0.5)] * 3
    placing = Placing(ends)
    heights = [placing.at_end((0.6, 0.5), (0.1, 0.9), "bartowski").y for _ in ends]
    assert heights == pytest.approx([0.5, 0.5 + STEP, 0.5 - STEP])


def test_without_room_at_the_right_a_name_stands_at_the_left_end() -> None:
    right, left = (0.99, 0.5), (0.4, 0.5)
    end = Placing([right, left]).at_end(right, left, "bartowski")
    assert (end.anchor, end.x) == ("right", pytest.approx(0.385))


def test_boxes_of_names_are_as_wide_as_bold_letters() -> None:
    placing = Placing([(0.2, 0.5)])
    end = placing.at_end((0.2, 0.5), (0.2, 0.5), "main")
    ((left, bottom, right, top),) = placing.written
    assert (left, right - left) == (pytest.approx(end.x), pytest.approx(4 * NAME * CHARACTER))
    assert (bottom + top) / 2 == pytest.approx(end.y)


def test_boxes_that_touch_do_not_overlap() -> None:
    assert not overlap((0, 0, 1, 1), (1, 0, 2, 1))
    assert overlap((0, 0, 1, 1), (0.9, 0.9, 2, 2))
