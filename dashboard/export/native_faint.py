"""Faint lines and points of PowerPoint charts, for which python-pptx has no API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pptx.dml.color import RGBColor
from pptx.enum.dml import MSO_FILL
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn

from dashboard.style.theme import Surface

_OPACITY = re.compile(r"rgba\([^)]*,\s*([\d.]+)\)")


def opacity_of(color: str | None) -> float:
    """Return the opacity of Plotly's `rgba(…)`; 1 for other colours."""
    found = _OPACITY.fullmatch(color or "")
    return 1.0 if found is None else float(found[1])


def mixed(color: str, opacity: float, surface: Surface) -> RGBColor:
    """Return how a colour (`#rrggbb`) with an opacity (0–1) looks on a surface."""
    own, behind = (bytes.fromhex(text.removeprefix("#")) for text in (color, surface.background))
    return RGBColor(
        *(round(opacity * one + (1 - opacity) * other) for one, other in zip(own, behind, strict=True))
    )


def fade_line(line: Any, opacity: float) -> None:
    """Give a line with a colour an opacity (0–1)."""
    for shown in line._get_or_add_ln().iter(qn("a:srgbClr")):
        if opacity < 1 and shown.find(qn("a:alpha")) is None:
            shown.append(parse_xml(f'<a:alpha {nsdecls("a")} val="{round(100_000 * opacity)}"/>'))


def fade_points(
    series: Any, opacities: Sequence[float], color: str, line_opacity: float, surface: Surface
) -> None:
    """Fade the points of a series that are less than opaque, which otherwise look like the series' others.

    In solid colours, because LibreOffice draws transparent points at full strength. It takes a point's colour from
    the line that leads to it, so that is faint, too: as the series' line if that is faint, else as the point.
    """
    joined = series.format.line
    for place, opacity in enumerate(opacities):
        if opacity >= 1:
            continue
        point = series.points[place]
        marker = point.marker
        marker.style, marker.size = series.marker.style, series.marker.size
        marker.format.fill.solid()
        marker.format.fill.fore_color.rgb = mixed(color, opacity, surface)
        marker.format.line.fill.background()
        line = point.format.line
        if joined.fill.type == MSO_FILL.BACKGROUND:
            line.fill.background()
            continue
        line.color.rgb = mixed(color, line_opacity if line_opacity < 1 else opacity, surface)
        line.width, line.dash_style = joined.width, joined.dash_style
