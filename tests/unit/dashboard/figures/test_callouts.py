"""Labels at every point: next to it, else with a line, and never over one another in a plot of any size."""

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from dashboard.figures.callouts import CHARACTER, LARGE, LINE, SMALL, Box, Label, Place, _places, place

SIZES = (SMALL, (760, 560), LARGE)
Point = tuple[float, float]


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


@pytest.mark.parametrize("seed", range(4))
def test_labels_are_where_trying_one_place_after_the_other_puts_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = [(float(x), float(y)) for x, y in 0.2 + 0.4 * rng.random((22, 2))]
    labels = [Label("x", 6.9 * rng.integers(4, 16), index % 2, 6.0 + 6 * (index == 3)) for index in range(22)]
    lines = [points[:5], points[5:9], *([(x, y - 0.1), (x, y + 0.1)] for x, y in points[::2])]
    taken = [(0.3, 0.3, 0.5, 0.35), (0.0, 0.6, 0.2, 0.7)]
    expected = tried(points, labels, lines, taken)
    assert place(points, labels, lines, taken) == expected
    assert {spot and spot.far for spot in expected} >= {False, True}


def tried(
    points: list[Point], labels: list[Label], lines: list[list[Point]], taken: list[Box]
) -> list[Place | None]:
    """Places as `place` describes them, box by box; every box and line at every size."""
    at = [scaled(point) for point in points]
    marks = [
        [grown(spot, label.radius, label.radius) for spot in spots]
        for spots, label in zip(at, labels, strict=True)
    ]
    texts = [scaled(box) for box in taken]
    curves = [scaled((*one, *two)) for line in lines for one, two in itertools.pairwise(line)]
    places: list[Place | None] = [None] * len(points)
    for rank, strict in itertools.product(sorted({label.rank for label in labels}), (True, False)):
        for own in sorted(range(len(points)), key=lambda index: -points[index][1]):
            if labels[own].rank == rank and places[own] is None:
                others = [*marks[:own], *marks[own + 1 :], *texts]
                found = free(at[own], labels[own], others, texts if strict else [])
                bars = [
                    line for line in curves if struck([grown(end, 0.5, 0.5) for end in at[own]], line, all)
                ]
                crossed = [
                    any(struck(box, line) for line in curves) + any(struck(box, line) for line in bars)
                    for _, box in found
                ]
                if found:
                    places[own], box = found[crossed.index(min(crossed))]
                    texts.append(box)
    return places


def free(
    at: list[Box], label: Label, others: list[list[Box]], texts: list[list[Box]]
) -> list[tuple[Place, list[Box]]]:
    """The places of a label that no other box overlaps, and whose line to the point crosses no text."""
    found = []
    for spot in (spot for spots, _ in _places(label.width, label.radius) for spot in spots):
        ends = [(x + spot.right, y + spot.up) for x, y in at]
        box = [grown(end, label.width / 2, LINE / 2) for end in ends]
        leader = [(*start, *end) for start, end in zip(at, ends, strict=True)]
        is_clear = all(map(inside, box, SIZES)) and all(apart(box, other) for other in others)
        if is_clear and not (spot.far and any(struck(text, leader) for text in texts)):
            found.append((spot, box))
    return found


def scaled(shares: tuple[float, ...]) -> list[tuple[float, ...]]:
    """A point, box or line in pixels of a plot of each size."""
    return [tuple(share * size[index % 2] for index, share in enumerate(shares)) for size in SIZES]


def grown(point: tuple[float, ...], right: float, up: float) -> Box:
    x, y = point
    return x - right, y - up, x + right, y + up


def inside(box: Box, size: tuple[float, float]) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] + 12 and box[3] <= size[1]


def apart(one: list[Box], other: list[Box]) -> bool:
    """Whether one box is right of the other, or above it, at every size."""
    pairs = list(zip(one, other, strict=True))
    return any(
        all(first[side + 2] <= second[side] for first, second in pairs)
        or all(second[side + 2] <= first[side] for first, second in pairs)
        for side in (0, 1)
    )


def struck(box: list[Box], line: list[Box], when: Callable[[Iterable[bool]], bool] = any) -> bool:
    """Whether a line crosses a box at any size, or at all."""
    return when(map(crosses, box, line))


def crosses(box: Box, line: Box) -> bool:
    """Whether neither the axes nor the line itself has the box on one side and the segment on the other."""
    if any(max(line[side::2]) < box[side] or min(line[side::2]) > box[side + 2] for side in (0, 1)):
        return False
    across, up = line[2] - line[0], line[3] - line[1]
    corners = itertools.product(box[0::2], box[1::2])
    sides = [across * (y - line[1]) - up * (x - line[0]) for x, y in corners]
    return min(sides) <= 0 <= max(sides)
