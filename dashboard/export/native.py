"""Figures that PowerPoint can draw itself, as charts with their data: scatter with lines, and bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from pptx.chart.axis import CategoryAxis
from pptx.chart.chart import Chart
from pptx.chart.data import CategoryChartData, ChartData, XyChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE, XL_LEGEND_POSITION, XL_MARKER_STYLE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Emu, Pt

from dashboard.theme import Surface

_SYMBOLS = {
    "circle": XL_MARKER_STYLE.CIRCLE,
    "square": XL_MARKER_STYLE.SQUARE,
    "triangle-up": XL_MARKER_STYLE.TRIANGLE,
    "diamond": XL_MARKER_STYLE.DIAMOND,
    "star": XL_MARKER_STYLE.STAR,
    "x": XL_MARKER_STYLE.X,
    "cross": XL_MARKER_STYLE.PLUS,
}
_HEX_DIGITS = 7
_STEPS = 7
_FEW_DECADES = 1.5


def is_native(figure: go.Figure) -> bool:
    """Whether PowerPoint can draw the figure: one panel of scatters over numbers, or of bars."""
    shown = _entries(figure)
    panels = {(trace.xaxis or "x") for trace in figure.data if trace.type in {"scatter", "bar"}}
    kinds = {trace.type for trace in figure.data}
    filled = any(trace.type == "scatter" and trace.fill not in {None, "none"} for trace in figure.data)
    if not shown or filled or len(panels) != 1:
        return False
    return kinds == {"bar"} or (kinds == {"scatter"} and all(_numbers(t.x) and _numbers(t.y) for t in shown))


def add_chart(slide: Any, figure: go.Figure, box: Sequence[int], surface: Surface) -> Chart:
    """Draw a figure that `is_native` in `box` (left, top, width, height in EMU); error bars are left out."""
    data, kind = _bars(figure) if figure.data[0].type == "bar" else _points(figure)
    chart: Chart = slide.shapes.add_chart(kind, *map(Emu, box), data).chart
    chart.has_title = False
    chart.has_legend = True
    chart.legend.position = XL_LEGEND_POSITION.TOP
    chart.legend.include_in_layout = False
    chart.font.size = Pt(13)
    chart.font.color.rgb = rgb(surface.text)
    for series, trace in zip(chart.plots[0].series, _entries(figure), strict=True):
        _style(series, trace)
    lying = figure.data[0].type == "bar" and figure.data[0].orientation == "h"
    across, up = figure.layout.xaxis, figure.layout.yaxis
    _axis(chart.category_axis, up if lying else across, surface)
    _axis(chart.value_axis, across if lying else up, surface)
    return chart


def rgb(color: str) -> RGBColor:
    """`#rrggbb` as PowerPoint's colour."""
    return RGBColor.from_string(color.removeprefix("#").upper())


def _entries(figure: go.Figure) -> list[Any]:
    """Traces that carry data: those with a name and points of variants."""
    return [trace for trace in figure.data if trace.name and trace.customdata is not None]


def _numbers(values: Any) -> bool:
    found = [value for value in (values if values is not None else ()) if value is not None]
    return bool(found) and all(isinstance(value, int | float) for value in map(_scalar, found))


def _scalar(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _points(figure: go.Figure) -> tuple[ChartData, XL_CHART_TYPE]:
    data = XyChartData()
    for trace in _entries(figure):
        series = data.add_series(trace.name)
        for x, y in zip(trace.x, trace.y, strict=True):
            if x is not None and y is not None:
                series.add_data_point(float(x), float(y))
    joined = any("lines" in (trace.mode or "") for trace in _entries(figure))
    return data, XL_CHART_TYPE.XY_SCATTER_LINES if joined else XL_CHART_TYPE.XY_SCATTER


def _bars(figure: go.Figure) -> tuple[ChartData, XL_CHART_TYPE]:
    lying = figure.data[0].orientation == "h"
    data = CategoryChartData()
    axis, first = (
        (figure.layout.yaxis, figure.data[0].y) if lying else (figure.layout.xaxis, figure.data[0].x)
    )
    order = [str(name) for name in (axis.categoryarray if axis.categoryarray is not None else first)]
    data.categories = order
    for trace in _entries(figure):
        names, values = (trace.y, trace.x) if lying else (trace.x, trace.y)
        value_of = dict(zip(map(str, names), map(float, values), strict=True))
        data.add_series(trace.name, [value_of.get(name) for name in order])
    stacked = figure.layout.barmode == "stack"
    if lying:
        return data, XL_CHART_TYPE.BAR_STACKED if stacked else XL_CHART_TYPE.BAR_CLUSTERED
    return data, XL_CHART_TYPE.COLUMN_STACKED if stacked else XL_CHART_TYPE.COLUMN_CLUSTERED


def _style(series: Any, trace: Any) -> None:
    color = trace.marker.color
    if not isinstance(color, str) or not color.startswith("#") or len(color) != _HEX_DIGITS:
        return
    if trace.type == "bar":
        series.format.fill.solid()
        series.format.fill.fore_color.rgb = rgb(color)
        return
    if "lines" in (trace.mode or ""):
        series.format.line.color.rgb = rgb(color)
        series.format.line.width = Pt(2)
        series.smooth = False
    else:
        series.format.line.fill.background()
    symbol = trace.marker.symbol if isinstance(trace.marker.symbol, str) else "circle"
    series.marker.style = _SYMBOLS.get(symbol, XL_MARKER_STYLE.CIRCLE)
    series.marker.size = 9
    series.marker.format.fill.solid()
    series.marker.format.fill.fore_color.rgb = rgb(color)
    series.marker.format.line.color.rgb = rgb(color)


def _axis(axis: Any, ours: Any, surface: Surface) -> None:
    axis.format.line.color.rgb = rgb(surface.axis)
    axis.has_major_gridlines = True
    axis.major_gridlines.format.line.color.rgb = rgb(surface.grid)
    axis.tick_labels.font.size = Pt(12)
    axis.tick_labels.font.color.rgb = rgb(surface.muted)
    if ours.title.text:
        axis.has_title = True
        axis.axis_title.text_frame.text = ours.title.text
        run = axis.axis_title.text_frame.paragraphs[0].runs[0]
        run.font.size, run.font.bold, run.font.color.rgb = Pt(13), False, rgb(surface.text)
    if ours.range and not isinstance(axis, CategoryAxis):
        low, high = sorted(float(end) for end in ours.range)
        if ours.type == "log":
            _log_scale(axis, low, high)
        else:
            _linear_scale(axis, low, high)


def _linear_scale(axis: Any, low: float, high: float) -> None:
    """Show the range, widened to steps of 1, 2 or 5."""
    rough = (high - low) / _STEPS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    axis.minimum_scale, axis.maximum_scale = math.floor(low / step) * step, math.ceil(high / step) * step
    axis.major_unit = step
    places = max(0, -math.floor(math.log10(step)))
    axis.tick_labels.number_format = f"0.{'0' * places}" if places else "0"
    axis.tick_labels.number_format_is_linked = False


def _log_scale(axis: Any, low: float, high: float) -> None:
    """Show 10^low to 10^high, widened to powers of 10; of 2 where that is little more than one."""
    base = 2 if high - low < _FEW_DECADES else 10
    ends = math.floor(low / math.log10(base)), math.ceil(high / math.log10(base))
    axis.minimum_scale, axis.maximum_scale = (float(base) ** end for end in ends)
    axis.major_unit = base
    axis.tick_labels.number_format, axis.tick_labels.number_format_is_linked = "General", False
    # python-pptx has no name for it; the schema wants it first.
    axis._element.scaling.insert(0, parse_xml(f'<c:logBase {nsdecls("c")} val="{base}"/>'))
