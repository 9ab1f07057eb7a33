"""Labels at points and names at the ends of lines lie on nothing else where there is room."""

from __future__ import annotations

import math

import pytest

from dashboard.figures.labels import CHARACTER, NAME, STEP, End, Placing, overlap, shares


def test_shares_follow_the_ranges_also_reversed_ones() -> None:
    assert shares([(3.0, -1.0)], ((2.0, 6.0), (-2.0, 2.0))) == [(0.25, 0.25)]
    assert shares([(3.0, -1.0)], ((2.0, 6.0), (2.0, -2.0))) == [(0.25, 0.75)]


def test_the_preferred_side_is_tried_first() -> None:
    assert Placing([(0.5, 0.5)]).beside(0, "Q4", "bottom left") == "bottom left"


def test_at_a_corner_a_label_stays_inside() -> None:
    assert Placing([(0.999, 0.999)]).beside(0, "Q4_K_M", "top right") == "bottom left"


def test_labels_of_close_points_stand_on_different_sides() -> None:
    placing = Placing([(0.5, 0.5), (0.5, 0.5), (0.5, 0.5), (0.9, 0.9)])
    sides = [placing.beside(own, "Q4_K_M") for own in range(4)]
    assert sides[3]
    written = [side for side in sides[:3] if side]
    assert len(written) == len(set(written)) == 2, "right and left of all three, as corners are on the others"
    apart = Placing([(0.5, 0.5), (0.5, 0.6)])
    assert {apart.beside(own, "Q4_K_M") for own in (0, 1)} == {"top right"}


def test_a_line_is_not_written_over() -> None:
    rising = [(0.0, 0.0), (1.0, 1.0)]
    assert Placing([(0.5, 0.5)], [rising]).beside(0, "Q4_K_M", "top right") == "top left"


def test_what_is_needed_is_written_over_points_if_it_must() -> None:
    crowd = [(0.5 + 0.04 * math.cos(angle), 0.5 + 0.04 * math.sin(angle)) for angle in range(0, 63, 3)]
    placing = Placing([(0.5, 0.5), *crowd])
    assert placing.beside(0, "Q5_K_M") == ""
    assert placing.written == []
    assert placing.beside(0, "Q5_K_M", needed=True)
    assert len(placing.written) == 1


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
