"""Panels on one scale: worked out by hand."""

from __future__ import annotations

import pytest

from dashboard.figures.bin_panels import GAP, spread


def test_the_fullest_row_gives_the_scale_of_all() -> None:
    """Three and five points share the first row; the second has two, and shows as many as the first on both sides."""
    places = spread([(0.0, 3.0), (-5.0, 0.0), (-1.0, 1.0)], [(0, 1), (2,)])
    first, second, alone = places
    scale = (1 - GAP) / 8
    assert first.domain == pytest.approx([0, 3 * scale])
    assert first.range == pytest.approx([0, 3])
    assert second.domain == pytest.approx([3 * scale + GAP, 1])
    assert second.range == pytest.approx([-5, 0])
    assert alone.domain == pytest.approx([0, 1])
    assert alone.range == pytest.approx([-0.5 / scale, 0.5 / scale])
