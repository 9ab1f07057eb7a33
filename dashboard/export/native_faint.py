"""Faint lines and points of PowerPoint charts, for which python-pptx has no API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pptx.dml.color import RGBColor
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn

_OPACITY = re.compile(r"rgba\([^)]*,\s*([\d.]+)\)")


def fade_line(line: Any, color: str | None) -> None:
    """Give a line with a colour the opacity of Plotly's `rgba(…)`."""
    found = _OPACITY.fullmatch(color or "")
    if found is not None:
        _fade(line._get_or_add_ln(), float(found[1]))


def fade_points(series: Any, opacities: Sequence[float], color: RGBColor) -> None:
    """Fade the points of a series that are less than opaque, which otherwise look like the series' others."""
    for place, opacity in enumerate(opacities):
        if opacity >= 1:
            continue
        marker = series.points[place].marker
        marker.style, marker.size = series.marker.style, series.marker.size
        marker.format.fill.solid()
        marker.format.fill.fore_color.rgb = color
        marker.format.line.fill.background()
        _fade(marker.format.fill._xPr, opacity)


def _fade(element: Any, opacity: float) -> None:
    for shown in element.iter(qn("a:srgbClr")):
        if opacity < 1 and shown.find(qn("a:alpha")) is None:
            shown.append(parse_xml(f'<a:alpha {nsdecls("a")} val="{round(100_000 * opacity)}"/>'))
