"""Labels at every point: next to it, else with a line, and never over one another in a plot of any size."""

import itertools

import numpy as np
import pytest

from dashboard.figures.callouts import CHARACTER, LARGE, LINE, SMALL, Box, Label, Place, place


def label(text: str, rank: int = 0) -> Label:
    return Label(text, CHARACTER * len(text), rank)


def boxes(
    points: list[tuple[float, float]],
    labels: list[Label],
    places: list[Place | None],
    size: tuple[float, float],
) -> list[Box]:
    """The labels' boxes in pixels of a plot of some size."""
    found = []
    for (x, y), text, spot in zip(points, labels, places, strict=True):
        if spot is not None:
            right, up = x * size[0] + spot.right, y * size[1] + spot.up
            found.append((right - text.width / 2, up - LINE / 2, right + text.width / 2, up + LINE / 2))
    return found


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_a_lonely_point_has_its_label_at_its_right() -> None:
    (spot,) = place([(0.5, 0.5)], [label("Q4_K_M")])
    assert spot == Place(CHARACTER * 6 / 2 + 8, 0.0, far=False)


def test_at_the_right_edge_the_label_is_at_the_left() -> None:
    (spot,) = place([(1.0, 0.5)], [label("Q4_K_M")])
    assert spot is not None
    assert spot.right == -(CHARACTER * 6 / 2 + 8)


def test_a_text_that_is_there_is_avoided() -> None:
    (spot,) = place([(0.5, 0.5)], [label("Q4_K_M")], taken=[(0.5, 0.3, 1.0, 0.7)])
    assert spot is not None
    assert spot.right < 0


def test_a_curve_is_avoided_if_there_is_another_place() -> None:
    (spot,) = place([(0.5, 0.5)], [label("Q4_K_M")], lines=[[(0.5, 0.5), (0.9, 0.5)]])
    assert spot is not None
    assert spot.right < 0


def test_where_curves_are_everywhere_a_label_is_not_on_the_bar_of_its_point() -> None:
    """A wide label at the right edge: its places are left of the point, where upright lines and its bar are."""
    lines = [[(x, 0.0), (x, 1.0)] for x in np.arange(0.02, 0.96, 0.02)]
    (spot,) = place([(0.97, 0.5)], [label("Q2_K · 14.2 tokens/s")], lines=[*lines, [(0.3, 0.5), (0.97, 0.5)]])
    assert spot is not None
    assert not spot.far
    assert abs(spot.up) > LINE / 2


@pytest.mark.parametrize("seed", range(5))
def test_labels_of_a_crowd_overlap_at_no_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = [(float(x), float(y)) for x, y in 0.3 * rng.random((18, 2)) + 0.3]
    labels = [label(f"UD-Q{index}_K_XL") for index in range(len(points))]
    places = place(points, labels)
    assert sum(spot is not None for spot in places) > len(points) / 2
    assert any(spot is not None and spot.far for spot in places)
    for share in np.linspace(0, 1, 6):
        for other in np.linspace(0, 1, 6):
            size = (SMALL[0] + share * (LARGE[0] - SMALL[0]), SMALL[1] + other * (LARGE[1] - SMALL[1]))
            drawn = boxes(points, labels, places, size)
            assert not any(overlap(one, two) for one, two in itertools.combinations(drawn, 2))


def test_the_first_label_gets_the_place_that_two_want() -> None:
    """Two points at one place, with a wall of text on all sides but the right."""
    points = [(0.5, 0.5), (0.5, 0.5)]
    wall = [(0.0, 0.0, 0.49, 1.0), (0.0, 0.55, 1.0, 1.0), (0.0, 0.0, 1.0, 0.45)]
    for first in (0, 1):
        labels = [label("Q4", int(first != 0)), label("Q5", int(first != 1))]
        spots = place(points, labels, taken=wall)
        assert spots[first] is not None
        assert not spots[first].far


def test_a_label_far_away_has_a_line_to_its_point() -> None:
    near, far = Place(30.0, 10.0, far=False), Place(30.0, 40.0, far=True)
    drawn = near.annotation(label("Q4"), 1.0, -2.0)
    assert (drawn["x"], drawn["y"], drawn["xshift"], drawn["yshift"], drawn["showarrow"]) == (
        1.0,
        -2.0,
        30.0,
        10.0,
        False,
    )
    drawn = far.annotation(label("Q4"), 1.0, -2.0)
    assert (drawn["ax"], drawn["ay"], drawn["showarrow"]) == (30.0, -40.0, True), (
        "Plotly counts pixels downwards"
    )
