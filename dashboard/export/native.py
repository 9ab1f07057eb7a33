"""PowerPoint charts with their data, for figures that PowerPoint can draw: scatter with lines, and bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from pptx.chart.axis import CategoryAxis
from pptx.chart.chart import Chart
from pptx.chart.data import CategoryChartData, ChartData, XyChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import (
    XL_AXIS_CROSSES,
    XL_CHART_TYPE,
    XL_LEGEND_POSITION,
    XL_MARKER_STYLE,
    XL_TICK_LABEL_POSITION,
)
from pptx.enum.dml import MSO_LINE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.util import Emu, Pt

from dashboard.style.names import out_of_figure
from dashboard.style.theme import Surface

_SYMBOLS = {
    "circle": XL_MARKER_STYLE.CIRCLE,
    "square": XL_MARKER_STYLE.SQUARE,
    "triangle-up": XL_MARKER_STYLE.TRIANGLE,
    "diamond": XL_MARKER_STYLE.DIAMOND,
    "star": XL_MARKER_STYLE.STAR,
    "x": XL_MARKER_STYLE.X,
    "cross": XL_MARKER_STYLE.PLUS,
}
_DASHES = {
    "solid": MSO_LINE.SOLID,
    "dash": MSO_LINE.DASH,
    "dot": MSO_LINE.ROUND_DOT,
    "dashdot": MSO_LINE.DASH_DOT,
}
#: Suffix of Plotly's symbols that are drawn as an outline.
_OPEN = "-open"
_HEX_DIGITS = 7
_STEPS = 10
_FEW_DECADES = 1.5


def is_native(figure: go.Figure) -> bool:
    """Return whether PowerPoint can draw the figure: one panel of scatters over numbers, or of bars."""
    shown = _entries(figure)
    panels = {(trace.xaxis or "x") for trace in figure.data if trace.type in {"scatter", "bar"}}
    kinds = {trace.type for trace in figure.data}
    filled = any(trace.type == "scatter" and trace.fill not in {None, "none"} for trace in figure.data)
    if not shown or filled or len(panels) != 1:
        return False
    return kinds == {"bar"} or (kinds == {"scatter"} and all(_numbers(t.x) and _numbers(t.y) for t in shown))


def add_chart(slide: Any, figure: go.Figure, box: Sequence[int], surface: Surface) -> Chart:
    """Draw a figure for which `is_native` holds, with its error bars, in `box` (left, top, width, height in EMU)."""
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
        for direction in "xy":
            _error_bars(series, trace, direction)
    horizontal = figure.data[0].type == "bar" and figure.data[0].orientation == "h"
    category, value = ("y", "x") if horizontal else ("x", "y")
    _axis(chart.category_axis, figure.layout[f"{category}axis"], surface, _extent(figure, category))
    _axis(chart.value_axis, figure.layout[f"{value}axis"], surface, _extent(figure, value))
    if _is_reversed(figure.layout[f"{value}axis"]):
        # The horizontal axis stays at the bottom, where the highest value is.
        chart.value_axis.reverse_order, chart.value_axis.crosses = True, XL_AXIS_CROSSES.MAXIMUM
        chart.category_axis.tick_label_position = XL_TICK_LABEL_POSITION.HIGH
    return chart


def _is_reversed(plotly_axis: Any) -> bool:
    return bool(plotly_axis.range) and plotly_axis.range[0] > plotly_axis.range[1]


def rgb(color: str) -> RGBColor:
    """Return `#rrggbb` as PowerPoint's colour."""
    return RGBColor.from_string(color.removeprefix("#").upper())


def _entries(figure: go.Figure) -> list[Any]:
    """Return the traces with data: those with a name and points of variants."""
    return [trace for trace in figure.data if trace.name and trace.customdata is not None]


def _name(trace: Any) -> str:
    """Return a series' full name; the screen's legend shortens names and leaves out models and devices."""
    full = trace.meta.get("series") if isinstance(trace.meta, dict) else None
    return str(full or out_of_figure(trace.name))


def _numbers(values: Any) -> bool:
    known = [value for value in (values if values is not None else ()) if value is not None]
    return bool(known) and all(isinstance(value, int | float) for value in map(_scalar, known))


def _scalar(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _drawn(trace: Any) -> list[int]:
    """Return the indices of the points with both coordinates."""
    pairs = zip(trace.x, trace.y, strict=True)
    return [index for index, (x, y) in enumerate(pairs) if x is not None and y is not None]


def _errors(trace: Any, direction: str) -> tuple[list[float], list[float]]:
    """Return the lengths of the error bars above and below the drawn points; empty without error bars."""
    bars = trace[f"error_{direction}"] if trace.type == "scatter" else None
    if bars is None or bars.array is None:
        return [], []
    below = bars.array if bars.arrayminus is None else bars.arrayminus
    above, below = ([float(side[index] or 0) for index in _drawn(trace)] for side in (bars.array, below))
    return above, below


def _extent(figure: go.Figure, direction: str) -> tuple[float, float] | None:
    """Return the lowest and highest end of points and error bars; None for bars."""
    ends: list[float] = []
    for trace in _entries(figure):
        if trace.type != "scatter":
            return None
        places = [float(trace[direction][index]) for index in _drawn(trace)]
        above, below = _errors(trace, direction)
        ends += [place + length for place, length in zip(places, above or [0.0] * len(places), strict=True)]
        ends += [place - length for place, length in zip(places, below or [0.0] * len(places), strict=True)]
    return min(ends), max(ends)


def _points(figure: go.Figure) -> tuple[ChartData, XL_CHART_TYPE]:
    data = XyChartData()
    for trace in _entries(figure):
        series = data.add_series(_name(trace))
        for index in _drawn(trace):
            series.add_data_point(float(trace.x[index]), float(trace.y[index]))
    joined = any("lines" in (trace.mode or "") for trace in _entries(figure))
    return data, XL_CHART_TYPE.XY_SCATTER_LINES if joined else XL_CHART_TYPE.XY_SCATTER


def _bars(figure: go.Figure) -> tuple[ChartData, XL_CHART_TYPE]:
    horizontal = figure.data[0].orientation == "h"
    data = CategoryChartData()
    axis, first = (
        (figure.layout.yaxis, figure.data[0].y) if horizontal else (figure.layout.xaxis, figure.data[0].x)
    )
    order = [str(name) for name in (axis.categoryarray if axis.categoryarray is not None else first)]
    data.categories = list(map(out_of_figure, order))
    for trace in _entries(figure):
        names, values = (trace.y, trace.x) if horizontal else (trace.x, trace.y)
        value_of = dict(zip(map(str, names), map(float, values), strict=True))
        data.add_series(_name(trace), [value_of.get(name) for name in order])
    stacked = figure.layout.barmode == "stack"
    if horizontal:
        return data, XL_CHART_TYPE.BAR_STACKED if stacked else XL_CHART_TYPE.BAR_CLUSTERED
    return data, XL_CHART_TYPE.COLUMN_STACKED if stacked else XL_CHART_TYPE.COLUMN_CLUSTERED


def _first(value: Any) -> Any:
    """Return a trace's value, or the first if it has one per point."""
    return value[0] if isinstance(value, list | tuple) and value else value


def _style(series: Any, trace: Any) -> None:
    color = _first(trace.marker.color)
    if not isinstance(color, str) or not color.startswith("#") or len(color) != _HEX_DIGITS:
        return
    if trace.type == "bar":
        series.format.fill.solid()
        series.format.fill.fore_color.rgb = rgb(color)
        return
    if "lines" in (trace.mode or ""):
        series.format.line.color.rgb = rgb(color)
        series.format.line.width = Pt(2)
        series.format.line.dash_style = _DASHES.get(trace.line.dash or "solid", MSO_LINE.DASH)
        series.smooth = False
    else:
        series.format.line.fill.background()
    symbol = _first(trace.marker.symbol)
    symbol = symbol if isinstance(symbol, str) else "circle"
    series.marker.style = _SYMBOLS.get(symbol.removesuffix(_OPEN), XL_MARKER_STYLE.CIRCLE)
    series.marker.size = 9
    series.marker.format.line.color.rgb = rgb(color)
    if symbol.endswith(_OPEN):
        series.marker.format.fill.background()
        return
    series.marker.format.fill.solid()
    series.marker.format.fill.fore_color.rgb = rgb(color)


def _error_bars(series: Any, trace: Any, direction: str) -> None:
    """Add error bars, which python-pptx has no API for; the schema requires them before the values."""
    above, below = _errors(trace, direction)
    if not above:
        return
    sides = "".join(
        f'<c:{name}><c:numLit><c:formatCode>General</c:formatCode><c:ptCount val="{len(lengths)}"/>'
        + "".join(f'<c:pt idx="{index}"><c:v>{length!r}</c:v></c:pt>' for index, length in enumerate(lengths))
        + f"</c:numLit></c:{name}>"
        for name, lengths in (("plus", above), ("minus", below))
    )
    color = str(trace.marker.color).removeprefix("#")
    fill = f'<a:solidFill><a:srgbClr val="{color}"><a:alpha val="50000"/></a:srgbClr></a:solidFill>'
    bars = parse_xml(
        f'<c:errBars {nsdecls("c", "a")}><c:errDir val="{direction}"/><c:errBarType val="both"/>'
        f'<c:errValType val="cust"/><c:noEndCap val="0"/>{sides}'
        f'<c:spPr><a:ln w="12700">{fill}</a:ln></c:spPr></c:errBars>'
    )
    series._element.find(qn("c:xVal")).addprevious(bars)


def _axis(axis: Any, plotly_axis: Any, surface: Surface, extent: tuple[float, float] | None) -> None:
    axis.format.line.color.rgb = rgb(surface.axis)
    axis.has_major_gridlines = True
    axis.major_gridlines.format.line.color.rgb = rgb(surface.grid)
    axis.tick_labels.font.size = Pt(12)
    axis.tick_labels.font.color.rgb = rgb(surface.muted)
    axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    if plotly_axis.title.text:
        axis.has_title = True
        axis.axis_title.text_frame.text = plotly_axis.title.text
        run = axis.axis_title.text_frame.paragraphs[0].runs[0]
        run.font.size, run.font.bold, run.font.color.rgb = Pt(13), False, rgb(surface.text)
    if plotly_axis.range and not isinstance(axis, CategoryAxis):
        low, high = sorted(float(end) for end in plotly_axis.range)
        if plotly_axis.type == "log":
            low, high = 10**low, 10**high
        if extent is not None:
            low, high = max(low, extent[0]), min(high, extent[1])
        (_log_scale if plotly_axis.type == "log" else _linear_scale)(axis, low, high)


def _linear_scale(axis: Any, low: float, high: float) -> None:
    """Make the axis go from `low` to `high`, widened to steps of 1, 2 or 5."""
    rough = (high - low or abs(high) or 1.0) / _STEPS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    axis.minimum_scale, axis.maximum_scale = math.floor(low / step) * step, math.ceil(high / step) * step
    axis.major_unit = step
    places = max(0, -math.floor(math.log10(step)))
    axis.tick_labels.number_format = f"0.{'0' * places}" if places else "0"
    axis.tick_labels.number_format_is_linked = False


def _log_scale(axis: Any, low: float, high: float) -> None:
    """Make the axis go from `low` to `high`, widened to powers of 10, or to two digits if they span little."""
    if math.log10(high / low) < _FEW_DECADES:
        base, digit = 2, 10.0 ** (math.floor(math.log10(low)) - 1)
        ends = math.floor(low / digit) * digit, math.ceil(high / digit) * digit
    else:
        base = 10
        ends = 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high))
    axis.minimum_scale, axis.maximum_scale = ends
    axis.major_unit = base
    axis.tick_labels.number_format, axis.tick_labels.number_format_is_linked = "General", False
    # python-pptx has no API for it; the schema requires it first.
    axis._element.scaling.insert(0, parse_xml(f'<c:logBase {nsdecls("c")} val="{base}"/>'))
