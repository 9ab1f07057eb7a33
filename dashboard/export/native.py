"""PowerPoint charts with their data, for figures that PowerPoint can draw: scatter with lines, and bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from pptx.chart.axis import CategoryAxis
from pptx.chart.chart import Chart
from pptx.chart.data import CategoryChartData, ChartData, XyChartData
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

from dashboard.export.native_axes import Extent, Scale, rgb, scale_of, style_axis, title_of
from dashboard.export.native_faint import fade_line, fade_points, mixed, opacity_of
from dashboard.export.native_marks import (
    Limit,
    draw_limit,
    leave_out_of_legend,
    limits,
    point_names,
    write_names,
)
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
#: Opacity of error bars.
_BARS = 0.5


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
    """Draw a figure for which `is_native` holds in `box` (left, top, width, height in EMU).

    The chart has the figure's error bars, its limits as further series, and the names that it writes at points.
    """
    layout, is_bars = figure.layout, figure.data[0].type == "bar"
    across, up = (scale_of(layout[f"{way}axis"], _extent(figure, way)) for way in "xy")
    lines = [] if is_bars else limits(figure, across, up, _places(figure))
    data, kind = _bars(figure) if is_bars else _points(figure, lines)
    chart: Chart = slide.shapes.add_chart(kind, *map(Emu, box), data).chart
    chart.has_title = False
    chart.has_legend = True
    chart.legend.position = XL_LEGEND_POSITION.TOP
    chart.legend.include_in_layout = False
    chart.font.size = Pt(13)
    chart.font.color.rgb = rgb(surface.text)
    shown = list(chart.plots[0].series)
    entries = [] if is_bars else [(trace, _drawn(trace)) for trace in _entries(figure)]
    for series, names in zip(shown, point_names(figure, entries, across, up), strict=False):
        write_names(series, names, surface)
    for series, trace in zip(shown, _entries(figure), strict=False):
        _style(series, trace, surface)
        for direction in "xy":
            _error_bars(series, trace, direction, surface)
    first = len(shown) - len(lines)
    for series, line in zip(shown[first:], lines, strict=True):
        draw_limit(series, line, surface)
    leave_out_of_legend(chart.legend, range(first, len(shown)))
    horizontal = is_bars and figure.data[0].orientation == "h"
    category, value = (
        ((layout.yaxis, up), (layout.xaxis, across))
        if horizontal
        else ((layout.xaxis, across), (layout.yaxis, up))
    )
    _axis(chart.category_axis, *category, surface)
    _axis(chart.value_axis, *value, surface)
    if _is_reversed(value[0]):
        # The horizontal axis stays at the bottom, where the highest value is.
        chart.value_axis.reverse_order, chart.value_axis.crosses = True, XL_AXIS_CROSSES.MAXIMUM
        chart.category_axis.tick_label_position = XL_TICK_LABEL_POSITION.HIGH
    return chart


def _axis(axis: Any, plotly_axis: Any, scale: Scale | None, surface: Surface) -> None:
    style_axis(axis, title_of(plotly_axis, scale), surface)
    axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    if scale is not None and not isinstance(axis, CategoryAxis):
        scale.set_on(axis)


def _is_reversed(plotly_axis: Any) -> bool:
    return bool(plotly_axis.range) and plotly_axis.range[0] > plotly_axis.range[1]


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


def _extent(figure: go.Figure, direction: str) -> Extent | None:
    """Return the ends of points and of error bars; None for bars."""
    places: list[float] = []
    ends: list[float] = []
    for trace in _entries(figure):
        if trace.type != "scatter":
            return None
        own = [float(trace[direction][index]) for index in _drawn(trace)]
        above, below = _errors(trace, direction)
        places += own
        ends += [place + length for place, length in zip(own, above, strict=False)]
        ends += [place - length for place, length in zip(own, below, strict=False)]
    return Extent(min(places), max(places), min(places + ends), max(places + ends))


def _places(figure: go.Figure) -> list[tuple[float, float]]:
    return [
        (float(trace.x[index]), float(trace.y[index]))
        for trace in _entries(figure)
        for index in _drawn(trace)
    ]


def _points(figure: go.Figure, lines: Sequence[Limit]) -> tuple[ChartData, XL_CHART_TYPE]:
    """Return one series per trace and line, all as long as the longest: the rest of a series is empty cells.

    LibreOffice 7.4 does not draw a series of a scatter chart that stands before a longer one.
    """
    entries = [
        (_name(trace), [(trace.x[at], trace.y[at]) for at in _drawn(trace)]) for trace in _entries(figure)
    ]
    entries += [(line.name, list(zip(line.x, line.y, strict=True))) for line in lines]
    longest = max(len(points) for _, points in entries)
    data = XyChartData()
    for name, points in entries:
        series = data.add_series(name)
        for x, y in points:
            series.add_data_point(float(x), float(y))
        for _ in range(longest - len(points)):
            series.add_data_point(None, None)
    joined = any("lines" in (trace.mode or "") for trace in _entries(figure))
    return data, XL_CHART_TYPE.XY_SCATTER_LINES if joined or lines else XL_CHART_TYPE.XY_SCATTER


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


def _color_of(trace: Any) -> str | None:
    """Return the colour of a trace's markers as `#rrggbb`, of several the first; None if it has another form."""
    color = _first(trace.marker.color)
    is_hex = isinstance(color, str) and color.startswith("#") and len(color) == _HEX_DIGITS
    return color if is_hex else None


def _style(series: Any, trace: Any, surface: Surface) -> None:
    color = _color_of(trace)
    if color is None:
        return
    if trace.type == "bar":
        series.format.fill.solid()
        series.format.fill.fore_color.rgb = rgb(color)
        return
    if "lines" in (trace.mode or ""):
        series.format.line.color.rgb = rgb(color)
        series.format.line.width = Pt(2)
        series.format.line.dash_style = _DASHES.get(trace.line.dash or "solid", MSO_LINE.DASH)
        fade_line(series.format.line, opacity_of(trace.line.color))
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
    if isinstance(trace.marker.opacity, list | tuple):
        opacities = [trace.marker.opacity[index] for index in _drawn(trace)]
        fade_points(series, opacities, color, opacity_of(trace.line.color), surface)


def _error_bars(series: Any, trace: Any, direction: str, surface: Surface) -> None:
    """Add error bars, which python-pptx has no API for; the schema requires them before the values."""
    above, below = _errors(trace, direction)
    color = _color_of(trace)
    if not above or color is None:
        return
    sides = "".join(
        f'<c:{name}><c:numLit><c:formatCode>General</c:formatCode><c:ptCount val="{len(lengths)}"/>'
        + "".join(f'<c:pt idx="{index}"><c:v>{length!r}</c:v></c:pt>' for index, length in enumerate(lengths))
        + f"</c:numLit></c:{name}>"
        for name, lengths in (("plus", above), ("minus", below))
    )
    has_ends = trace[f"error_{direction}"].width != 0
    fill = f'<a:solidFill><a:srgbClr val="{mixed(color, _BARS, surface)}"/></a:solidFill>'
    bars = parse_xml(
        f'<c:errBars {nsdecls("c", "a")}><c:errDir val="{direction}"/><c:errBarType val="both"/>'
        f'<c:errValType val="cust"/><c:noEndCap val="{int(not has_ends)}"/>{sides}'
        f'<c:spPr><a:ln w="12700">{fill}</a:ln></c:spPr></c:errBars>'
    )
    series._element.find(qn("c:xVal")).addprevious(bars)
