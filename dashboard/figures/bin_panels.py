"""Place panels of bars on one scale: side by side, or in a narrow window in several rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.figures.axes import nice_step
from dashboard.figures.panels import Panels
from dashboard.style import formats

Ends = tuple[float, float]
#: Distance of panels in a row, in shares of the width.
GAP = 0.012
#: Ticks in a row of panels, in a wide and in a narrow window.
_TICKS, _FEW_TICKS = 12, 5
#: Height of a row of bars in a narrow window, between rows of panels, and above and below them all, in pixels.
_BAR, _BETWEEN, _MARGINS = 15, 58, (40, 66)
_EXACT = 1e-12


@dataclass(frozen=True)
class Spread:
    """A panel's place across, in shares of the width, and the ends of its axis."""

    domain: list[float]
    range: list[float]


def spread(ends: Sequence[Ends], rows: Sequence[Sequence[int]]) -> list[Spread]:
    """Return the places of panels that show `ends` at least, in rows of panels by their numbers.

    The fullest row gives the scale of all; panels of other rows show more on both sides.
    """
    places: dict[int, Spread] = {}
    widths = [high - low for low, high in ends]
    room = [1 - GAP * (len(row) - 1) for row in rows]
    scale = min(free / sum(widths[panel] for panel in row) for row, free in zip(rows, room, strict=True))
    for row, free in zip(rows, room, strict=True):
        more = (free / scale - sum(widths[panel] for panel in row)) / len(row) / 2
        start = 0.0
        for panel in row:
            low, high = ends[panel][0] - more, ends[panel][1] + more
            stop = min(start + scale * (high - low), 1.0)
            places[panel] = Spread([start, stop], [low, high])
            start = stop + GAP
    return [places[panel] for panel in range(len(ends))]


def place_panels(
    drawn: Panels, ends: Sequence[Ends], narrow_rows: Sequence[Sequence[int]], lanes: int
) -> None:
    """Place the panels and their legends, which are headings: in one row, and in a narrow window in `narrow_rows`.

    Args:
        drawn: the panels, with `lanes` bars below each other, on numeric axes.
        ends: the least that each panel shows.
        narrow_rows: numbers of panels.
        lanes: bars, with headings among them.
    """
    wide = spread(ends, [range(len(ends))])
    for panel, (place, ticks) in enumerate(zip(wide, _all_ticks(wide, _TICKS), strict=True)):
        drawn.update_xaxes(cells=[panel], domain=place.domain, range=place.range, **ticks)
        drawn.update_layout(**{_legend(panel): _heading(place, 1.0)})
    narrow = spread(ends, narrow_rows)
    ticks_of = _all_ticks(narrow, _FEW_TICKS * len(narrow_rows))
    whole = len(narrow_rows) * (_BAR * lanes + _BETWEEN) - _BETWEEN
    for nth, row in enumerate(narrow_rows):
        top = 1 - nth * (_BAR * lanes + _BETWEEN) / whole
        down = [max(0.0, top - _BAR * lanes / whole), top]
        for panel in row:
            place = narrow[panel]
            across = {"domain": place.domain, "range": place.range, **ticks_of[panel]}
            drawn.update_xaxes(cells=[panel], narrow=True, **across)
            drawn.update_yaxes(cells=[panel], narrow=True, domain=down, showticklabels=panel == row[0])
            drawn.update_narrow(**{_legend(panel): _heading(place, top)})
    above, below = _MARGINS
    drawn.update_narrow(height=whole + above + below, margin={"t": above, "b": below, "r": 12})


def _legend(panel: int) -> str:
    """Return plotly.js's name of a panel's legend in the layout."""
    return "legend" if panel == 0 else f"legend{panel + 1}"


def _heading(place: Spread, top: float) -> dict[str, Any]:
    """Return a legend in the middle above a panel."""
    middle = {"x": sum(place.domain) / 2, "xanchor": "center"}
    return middle | {"y": top, "yanchor": "bottom", "orientation": "h"}


def _all_ticks(places: Sequence[Spread], most: int) -> list[dict[str, Any]]:
    """Return the ticks of all panels, in equal steps and about `most` together."""
    step = nice_step(sum(place.range[1] - place.range[0] for place in places) / most)
    found = []
    for place in places:
        low, high = (end / step for end in place.range)
        ticks = [step * count for count in range(math.ceil(low), math.floor(high) + 1)]
        found.append({"tickvals": ticks, "ticktext": [_tick(tick) for tick in ticks]})
    return found


def _tick(value: float) -> str:
    """Write a tick with its sign."""
    return f"{value:+.12g}".replace("-", formats.MINUS) if abs(value) > _EXACT else "0"
