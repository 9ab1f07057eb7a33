"""PowerPoint's own charts tell models apart as the screen does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from many_models import make_models
from pptx import Presentation
from pptx.enum.chart import XL_AXIS_CROSSES, XL_MARKER_STYLE, XL_TICK_LABEL_POSITION
from pptx.enum.dml import MSO_FILL, MSO_LINE

from dashboard.export.deck import deck
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A deck of two models with charts."""
    folder: Path = make_models(
        tmp_path_factory.mktemp("models"),
        ["Small-135M", "Big-7B"],
        quants=("Q4_0", "Q6_K", "Q8_0"),
        windows=8,
    )
    return Presentation(io.BytesIO(deck(Scope(Results.open(folder), EVERYTHING), {}, editable=True)))


@pytest.fixture(scope="module")
def charts(book: Any) -> dict[str, Any]:
    """Series by name, of every chart by the title of its horizontal axis."""
    shapes = [shape for slide in book.slides for shape in slide.shapes if shape.has_chart]
    return {
        shape.chart.category_axis.axis_title.text_frame.text: {
            series.name: series for series in shape.chart.plots[0].series
        }
        for shape in shapes
        if shape.chart.category_axis.has_title
    }


def test_better_is_up_in_the_chart_of_size(book: Any) -> None:
    """Its vertical axis, the distance from the baseline, grows downwards; the sizes stay at the bottom."""
    (chart,) = [
        shape.chart
        for slide in book.slides
        for shape in slide.shapes
        if shape.has_chart and "1/PPL" in shape.chart.value_axis.axis_title.text_frame.text
    ]
    assert chart.value_axis.reverse_order
    assert chart.value_axis.crosses == XL_AXIS_CROSSES.MAXIMUM
    assert chart.category_axis.tick_label_position == XL_TICK_LABEL_POSITION.HIGH


def test_every_series_has_its_own_name(charts: dict[str, Any]) -> None:
    methods = ("bartowski", "main", "unsloth")
    wanted = {f"{method} · {model}" for method in methods for model in ("Big-7B", "Small-135M")}
    assert set(charts["bits per weight (measured)"]) == wanted


def test_further_models_have_open_markers_and_dashed_lines(charts: dict[str, Any]) -> None:
    of = charts["bits per weight (measured)"]
    first, second = of["main · Big-7B"], of["main · Small-135M"]
    assert first.marker.style == second.marker.style == XL_MARKER_STYLE.SQUARE
    assert first.marker.format.fill.type == MSO_FILL.SOLID
    assert second.marker.format.fill.type == MSO_FILL.BACKGROUND
    assert second.marker.format.line.color.rgb == first.marker.format.line.color.rgb
    assert (first.format.line.dash_style, second.format.line.dash_style) == (MSO_LINE.SOLID, MSO_LINE.DASH)
