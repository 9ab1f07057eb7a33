"""PowerPoint's own charts tell models apart as the screen does."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from many_models import make_models
from pptx import Presentation
from pptx.enum.chart import XL_AXIS_CROSSES, XL_MARKER_STYLE, XL_TICK_LABEL_POSITION
from pptx.enum.dml import MSO_FILL, MSO_LINE

from dashboard.export.deck import deck
from dashboard.export.exhibit import exhibits
from dashboard.export.native import add_chart
from dashboard.export.native_axes import Extent, Scale, scale_of, title_of
from dashboard.export.native_marks import limits
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING
from dashboard.style.theme import LIGHT, readable


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
def results(three_methods: Path) -> Results:
    return Results.open(three_methods)


def drawn_of(results: Results) -> dict[str, Any]:
    """Return the PowerPoint charts of a folder by view."""
    slides = Presentation(io.BytesIO(deck(Scope(results), {}))).slides
    titles = {item.title: item.slug for item in exhibits(Scope(results))}
    return {
        titles[slide.shapes.title.text]: shape.chart
        for slide in slides
        for shape in slide.shapes
        if shape.has_chart
    }


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
    named = {name for name in charts["bits per weight (measured)"] if "bits)" not in name}
    assert named == wanted


def test_limits_are_named_lines_without_a_legend_entry(results: Results) -> None:
    """The first page's bands end at 0.01 and 0.1 nats; the 1 % of view 1 is a line across its axis."""
    shown = drawn_of(results)
    bands = {series.name: list(series.values)[:3] for series in shown["overview"].plots[0].series}
    assert bands["equivalent for most uses (up to 0.01)"] == [pytest.approx(0.01)] * 3
    assert bands["some tokens change (up to 0.1)"] == [pytest.approx(0.1)] * 3
    chart = shown["ppl-bits"]
    series = list(chart.plots[0].series)
    (at,) = [index for index, one in enumerate(series) if one.name == "1 % above the baseline"]
    assert [value for value in series[at].values if value is not None] == [pytest.approx(1.0)] * 3
    ends = [float(value.text) for value in series[at]._element.find("{*}xVal").iter("{*}v")]
    assert (min(ends), max(ends)) == (chart.category_axis.minimum_scale, chart.category_axis.maximum_scale)
    assert series[at].points[1].data_label.text_frame.text == "1 % above the baseline"
    hidden = {
        int(entry.find("{*}idx").get("val")) for entry in chart.legend._element.findall("{*}legendEntry")
    }
    assert at in hidden
    assert 0 not in hidden


def test_a_limit_has_its_name_where_no_point_is() -> None:
    """A name above a line avoids the points there, below it if better is up; it does not mind those further away."""
    layout = {
        "xaxis": {"range": (0, 10)},
        "shapes": [{"type": "line", "xref": "x domain", "x0": 0, "x1": 1, "y0": 5, "y1": 5}],
        "annotations": [{"text": "<b>a limit</b>", "x": 0, "xref": "paper", "y": 5}],
    }
    scale = Scale(0, 10, 1)
    for ends, side in (((0, 10), 1), ((10, 0), -1)):
        figure = go.Figure(layout=layout | {"yaxis": {"range": ends}})
        (free,) = limits(figure, scale, scale, [(8.8, 5 - 2 * side)])
        (moved,) = limits(figure, scale, scale, [(8.8, 5 + side), (1.2, 5 + side)])
        assert (free.name, free.x[1], moved.x[1]) == ("a limit", pytest.approx(8.8), pytest.approx(7.5))
        assert free.y == (5, 5, 5)
    assert limits(figure, Scale(0, 10, 1), Scale(6, 10, 1), []) == []


def test_points_have_the_names_that_the_figure_writes_in_their_methods_colours(results: Results) -> None:
    chart = drawn_of(results)["ppl-bits"]
    figure = next(item for item in exhibits(Scope(results)) if item.slug == "ppl-bits").figure
    written = {
        (series.name, label.text_frame.text): str(label.text_frame.paragraphs[0].runs[0].font.color.rgb)
        for series in chart.plots[0].series
        for label in (point.data_label for point in _points(series))
        if label.has_text_frame
    }
    styles = results.styles
    wanted = {
        (method, re.sub("<[^>]*>", "", note.text)): readable(style.color, LIGHT).removeprefix("#").upper()
        for note in figure.layout.annotations
        for method, style in styles.items()
        if note.name == "label" and note.templateitemname == style.color
    }
    told = {
        (method, re.sub("<[^>]*>", "", note.text))
        for note in figure.layout.annotations
        for method, style in styles.items()
        if note.name == "label" and note.text.startswith("<b>") and note.templateitemname == style.color
    }
    named = {key: color for key, color in written.items() if key[0] in styles}
    assert named.items() <= wanted.items()
    assert len(named) > len(wanted) / 2
    assert told
    assert told <= set(named), "what the title says is written also in a crowd"


def _points(series: Any) -> list[Any]:
    return [series.points[index] for index in range(len(list(series.values)))]


@pytest.mark.parametrize(
    ("ends", "extent", "wanted"),
    [
        # Half a decade of bars below the last power of 10 is no reason for a decade more; a point is.
        ((-4, 1), Extent(0.0011, 0.5, 0.00095, 0.6), Scale(0.001, 1.0, 10, base=10)),
        ((-4, 1), Extent(0.00095, 0.5, 0.00095, 0.6), Scale(0.0001, 1.0, 10, base=10)),
        # Under 1.5 decades: powers of 2 from 1, 2 or 5 × 10ⁿ; under half a decade a linear axis.
        ((-1, 1), Extent(0.3, 3, 0.25, 3.1), Scale(0.2, 3.2, 2, base=2)),
        ((-1, 1), Extent(1.1, 1.9, 1.05, 2.0), Scale(1.0, 2.0, 0.1)),
    ],
)
def test_log_axes_have_usable_ticks(ends: tuple[float, float], extent: Extent, wanted: Scale) -> None:
    made = scale_of(go.layout.YAxis(type="log", range=ends), extent)
    assert made is not None
    assert (made.low, made.high) == pytest.approx((wanted.low, wanted.high))
    assert (made.step, made.base) == pytest.approx((wanted.step, wanted.base))
    title = title_of(go.layout.YAxis(title={"text": "KLD (nats, log scale)"}), made)
    assert title == ("KLD (nats, log scale)" if made.base else "KLD (nats)")


def test_linear_axes_write_thousands() -> None:
    made = scale_of(go.layout.XAxis(range=(0, 4000)), Extent(300, 3200, 300, 3200))
    assert made == Scale(0, 3500, 500)
    assert made.number_format == "#,##0"


def test_further_models_have_open_markers_and_dashed_lines(charts: dict[str, Any]) -> None:
    of = charts["bits per weight (measured)"]
    first, second = of["main · Big-7B"], of["main · Small-135M"]
    assert first.marker.style == second.marker.style == XL_MARKER_STYLE.SQUARE
    assert first.marker.format.fill.type == MSO_FILL.SOLID
    assert second.marker.format.fill.type == MSO_FILL.BACKGROUND
    assert second.marker.format.line.color.rgb == first.marker.format.line.color.rgb
    assert (first.format.line.dash_style, second.format.line.dash_style) == (MSO_LINE.SOLID, MSO_LINE.DASH)


def test_what_the_figure_fades_is_faint() -> None:
    """Points of one series may be more or less opaque; bars without ends have none."""
    figure = go.Figure(
        go.Scatter(
            x=[1, 2, 3],
            y=[1, 2, 3],
            name="main",
            customdata=[["a"], ["b"], ["c"]],
            mode="lines+markers",
            line={"color": "rgba(213, 94, 0, 0.3)"},
            marker={"color": "#d55e00", "symbol": "square", "opacity": [1, 0.3, 1]},
            error_x={"type": "data", "array": [1, 0, 1], "width": 0},
        )
    )
    slide = Presentation().slides.add_slide(Presentation().slide_layouts[6])
    (series,) = add_chart(slide, figure, (0, 0, 5_000_000, 3_000_000), LIGHT).plots[0].series

    def colors(element: Any) -> set[str]:
        return {shown.get("val") for shown in element.iter("{*}srgbClr")}

    (alpha,) = series._element.iter("{*}alpha")
    assert alpha.get("val") == "30000"
    assert alpha in list(series._element.find("{*}spPr/{*}ln").iter("{*}alpha"))
    # 0.3 × (213, 94, 0) + 0.7 × (255, 255, 255), and half of both; LibreOffice draws points without transparency.
    assert colors(series._element.find("{*}errBars")) == {"EAAE80"}
    assert colors(series._element.find("{*}marker")) == {"D55E00"}
    faint = {point.find("{*}idx").get("val"): point for point in series._element.findall("{*}dPt")}
    assert colors(faint["1"].find("{*}marker")) == {"F2CFB2"}
    assert colors(faint["1"].find("{*}spPr/{*}ln")) == {"F2CFB2"}, "LibreOffice's colour of a point"
    assert faint["1"].find("{*}marker/{*}symbol").get("val") == "square"
    assert all("F2CFB2" not in colors(point) for name, point in faint.items() if name != "1")
    assert series._element.find("{*}errBars/{*}noEndCap").get("val") == "1"


def test_no_series_stands_before_a_longer_one() -> None:
    """LibreOffice would not draw it; the entries that its legend leaves out it counts in the order of the file."""
    figure = go.Figure()
    for name, count in (("a", 2), ("b", 1), ("c", 4), ("d", 2)):
        figure.add_scatter(
            x=list(range(count)),
            y=list(range(count)),
            name=name,
            customdata=[[f"{name}{place}"] for place in range(count)],
            mode="lines+markers",
            marker={"color": "#d55e00", "symbol": "square"},
        )
    figure.update_layout(xaxis_range=(0, 4), yaxis_range=(0, 4))
    figure.add_shape(type="line", xref="x domain", x0=0, x1=1, y0=1.5, y1=1.5)
    figure.add_annotation(text="limit", x=0, xref="paper", y=1.5)
    slide = Presentation().slides.add_slide(Presentation().slide_layouts[6])
    chart = add_chart(slide, figure, (0, 0, 5_000_000, 3_000_000), LIGHT)
    written = chart.plots[0]._element.findall("{*}ser")
    assert [one.find("{*}tx//{*}v").text for one in written] == ["a", "b", "c", "d", "limit"]
    assert [len(one.findall("{*}yVal//{*}pt")) for one in written] == [2, 1, 4, 2, 3]
    assert {count.get("val") for one in written for count in one.findall("{*}xVal//{*}ptCount")} == {"4"}
    assert {count.get("val") for one in written for count in one.findall("{*}yVal//{*}ptCount")} == {"4"}
    left_out = chart.legend._element.findall("{*}legendEntry/{*}idx")
    assert [entry.get("val") for entry in left_out] == ["4"]
