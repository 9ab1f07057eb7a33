"""Scales place values, and at the edge those that a log axis cannot hold."""

from __future__ import annotations

import math

import pytest

from dashboard.figures.distance import inverse_lost, rise
from dashboard.figures.scales import LinearScale, LogScale, resolution


def test_files_within_the_noise_floor_stand_at_the_edge() -> None:
    scale = LogScale.of([-0.001, 0.0005, 0.01, 0.1], least=0.002)
    assert scale.edge is not None
    assert scale.edge < math.log10(0.002), "below the floor"
    assert scale.range[0] < scale.edge
    assert [scale.place(value) for value in (-0.001, 0.0005)] == [pytest.approx(10**scale.edge)] * 2
    assert (scale.height(0.01), scale.place(0.01)) == (pytest.approx(-2), 0.01)
    assert scale.axis["ticktext"][0] == "≤ 0.0020"
    assert all(tick > 0.002 for tick in scale.axis["tickvals"][1:])


def test_levels_and_ends_of_bars_widen_the_axis() -> None:
    alone, wider = LogScale.of([1.0, 10.0], margin=0), LogScale.of([1.0, 10.0], margin=0, shown=[100.0, -3.0])
    assert (alone.range[1], wider.range[1]) == (pytest.approx(1.03), pytest.approx(2.03))
    assert wider.range[0] == alone.range[0], "a level without a logarithm has no place"


def test_a_reversed_axis_has_its_edge_at_the_top() -> None:
    scale = LogScale.of([0.0, 1.0, 10.0], is_reversed=True)
    bottom, top = scale.range
    assert bottom > top
    assert scale.edge is not None
    assert top < scale.edge < 0


def test_the_resolution_is_the_floor_else_a_tenth_of_the_smallest_error() -> None:
    assert resolution(0.002, [0.5]) == 0.002
    assert resolution(0.0, [0.5, 0.03, math.inf]) == pytest.approx(0.003)
    assert resolution(0.0, [math.inf]) == 0


def test_a_linear_scale_holds_everything() -> None:
    scale = LinearScale([0.0, 2.0])
    assert (scale.height(-1.0), scale.place(-1.0), scale.holds(-1.0)) == (-1.0, -1.0, True)
    assert scale.axis == {"range": [0.0, 2.0]}


def test_distances_in_per_cent() -> None:
    double = math.log(2)
    assert (rise(double), inverse_lost(double)) == (pytest.approx(100), pytest.approx(50))
