"""Draw lines of equal efficiency, 1/PPL per MB."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Box, Point, Ranges, shares
from dashboard.figures.levels import text_width
from dashboard.results.rows import Row
from dashboard.style import formats
from dashboard.style.columns import EFFICIENCY_SCALE
from dashboard.style.theme import QUIET

_LABEL_HEIGHT = 0.046


def add_efficiency_lines(
    drawn: Drawing, rows: Sequence[Row], mega: float, ranges: Ranges
) -> tuple[list[Box], list[list[Point]]]:
    """Draw lines of equal 1/PPL/MB with labels at their ends; return labels' boxes and lines in shares of the plot.

    `mega` is the unit of the horizontal axis in MB, and the vertical one is 1/PPL.
    """
    x_range, y_range = ranges
    boxes: list[Box] = []
    lines: list[list[Point]] = []
    values = [row["inv_ppl_per_mb"] for row in rows]
    low, high = min(values), max(values)
    for level in [low, math.sqrt(low * high), high] if high > 1.15 * low else [high]:
        slope = level * mega
        start, end = max(x_range[0], y_range[0] / slope), min(x_range[1], y_range[1] / slope)
        if end <= start:
            continue
        lines.append(shares([(start, slope * start), (end, slope * end)], ranges))
        drawn.add_scatter(
            x=[start, end],
            y=[slope * start, slope * end],
            mode="lines",
            line={"color": QUIET, "width": 1, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
        # The lowest line is labelled in the free space under it, the others at staggered places near their ends.
        at = start + {low: 0.62, high: 1.0}.get(level, 0.9) * (end - start)
        beside = level == low or end < 0.85 * x_range[1]
        text = f"{formats.number(EFFICIENCY_SCALE * level)} × 10⁻⁵ / MB"
        ((x, y),) = shares([(at, slope * at)], ranges)
        boxes.append(_box(x, y, text_width(text), beside=beside))
        drawn.add_annotation(
            x=at,
            y=slope * at,
            text=text,
            showarrow=False,
            xanchor="left" if beside else "right",
            yanchor="top",
            xshift=4 if beside else -4,
            font={"size": 10},
        )
    return boxes, lines


def _box(x: float, y: float, width: float, *, beside: bool) -> Box:
    return (x, y - _LABEL_HEIGHT, x + width, y) if beside else (x - width, y - _LABEL_HEIGHT, x, y)
