"""Draw what lies behind the points of the first page's chart: bands of KLD, the noise floor, the user's memory."""

from __future__ import annotations

import math
from typing import Any

from dashboard.figures import axes
from dashboard.figures.callouts import CHARACTER, LINE, SMALL, Box
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import shares
from dashboard.figures.size_loss_axes import SizeLossAxes
from dashboard.insights.resolution import LEVELS
from dashboard.style import formats
from dashboard.style.theme import BASELINE, PROVISIONAL, QUIET

_SHADES = (0.0, 0.05, 0.11)
#: Share of the width from which texts at the line are left of it.
_LATE = 0.6


def guides(drawn: Drawing, plot: SizeLossAxes) -> list[Box]:
    """Draw bands, noise floor, and whether the answer is provisional; return the boxes of texts."""
    return [*_levels(drawn, plot), *_noise(drawn, plot), *_provisional(drawn, plot)]


def _levels(drawn: Drawing, plot: SizeLossAxes) -> list[Box]:
    """Shade the bands of KLD that the axis shows, and name them; return the boxes of the names."""
    bottom, top = plot.scale.range
    boxes = []
    for level, shade in zip(LEVELS, _SHADES, strict=True):
        low = max(math.log10(level.low), bottom) if level.low > 0 else bottom
        high = min(math.log10(level.high), top) if math.isfinite(level.high) else top
        if low >= high:
            continue
        drawn.add_band(
            10**low, 10**high, layer="below", line={"width": 0}, fillcolor=f"rgba(128, 140, 160, {shade})"
        )
        edge = _free_edge(plot, level.name, (high - bottom) / (top - bottom), at_left=level.low == 0)
        boxes.append(_note_box(level.name, (high - bottom) / (top - bottom), edge))
        drawn.add_annotation(**_note(level.name, high, edge, yanchor="top"))
    return boxes


def _free_edge(plot: SizeLossAxes, text: str, top: float, *, at_left: bool) -> float:
    """Return the end of the width at which a text covers no file and not the line of memory: 0 or 1, a share."""
    files = shares([(plot.x(row), plot.height(row)) for row in plot.rows], plot.ranges)
    low, high = plot.x_range
    line = [] if plot.at is None else [(plot.at - low) / (high - low)]

    def hidden(edge: float) -> tuple[int, bool]:
        left, bottom, right, upper = _note_box(text, top, edge)
        covered = sum(left - 0.02 < x < right + 0.02 and bottom - 0.02 < y < upper for x, y in files)
        return covered + sum(left < x < right for x in line), (edge == 0) != at_left

    return min((0.0, 1.0), key=hidden)


def _noise(drawn: Drawing, plot: SizeLossAxes) -> list[Box]:
    """Draw the noise floor, or say where it is below the axis."""
    if plot.floor <= 0:
        return []
    bottom, top = plot.scale.range
    height = math.log10(plot.floor)
    text = f"noise floor {formats.number(plot.floor, 2)}"
    if not bottom < height < top:
        drawn.add_annotation(**_note(f"{text} ↓", bottom, yanchor="bottom"))
        return [_note_box(text, LINE / SMALL[1])]
    drawn.add_shape(
        type="line",
        xref="x domain",
        x0=0,
        x1=1,
        y0=plot.floor,
        y1=plot.floor,
        line={"color": BASELINE.color, "dash": "dot", "width": 1.2},
    )
    drawn.add_annotation(**_note(text, height, yanchor="bottom"))
    end = (height - bottom) / (top - bottom) + LINE / SMALL[1]
    return [_note_box(text, end)]


def _provisional(drawn: Drawing, plot: SizeLossAxes) -> list[Box]:
    """Mark the chart as provisional in its lower left corner, above the noise floor's note."""
    if not plot.answers.why_provisional():
        return []
    text = "provisional"
    note = _note(f"<b>{text}</b>", plot.scale.range[0], yanchor="bottom") | {"xshift": 4, "yshift": 22}
    colors = {"font": {"color": PROVISIONAL}, "bordercolor": PROVISIONAL, "borderpad": 2}
    drawn.add_annotation(**note, **colors)
    return [_note_box(text, 3.2 * LINE / SMALL[1])]


def _note(text: str, height: float, edge: float = 0.0, *, yanchor: str) -> dict[str, Any]:
    """Return a text at the left edge, or one that ends at `edge`, a share of the width."""
    return {
        "text": text,
        "xref": "x domain",
        "x": edge or 0.005,
        "xanchor": "right" if edge else "left",
        "xshift": -12 if edge else 0,
        "y": height,
        "yanchor": yanchor,
        "showarrow": False,
    }


def _note_box(text: str, top: float, edge: float = 0.0) -> Box:
    wide, high = (CHARACTER * len(text) + 12) / SMALL[0], (LINE + 4) / SMALL[1]
    return (edge - wide, top - high, edge, top) if edge else (0.0, top - high, wide, top)


def memory(drawn: Drawing, plot: SizeLossAxes) -> None:
    """Draw the user's memory as a vertical line with its meaning above, and shade what does not fit."""
    at = plot.at
    if at is None:
        return
    low, high = plot.x_range
    across = {"yref": "paper", "y0": 0, "y1": 1}
    drawn.add_shape(
        type="line", x0=at, x1=at, **across, line={"color": BASELINE.color, "width": 2}, name="memory"
    )
    drawn.add_shape(
        type="rect",
        x0=at,
        x1=high,
        **across,
        line={"width": 0},
        fillcolor=QUIET,
        opacity=0.35,
        layer="below",
        name="memory",
    )
    is_late = at > low + _LATE * (high - low)
    drawn.add_annotation(
        text=plot.line.in_words,
        x=at,
        y=1,
        yref="paper",
        yanchor="bottom",
        yshift=4,
        xanchor="right" if is_late else "left",
        xshift=-12 if is_late else 12,
        showarrow=False,
        name="memory",
    )


def handle(plot: SizeLossAxes) -> dict[str, Any]:
    """Return what the page's handle needs to turn a place on the axis into a limit of memory.

    `at` and `most` are in the unit of the axis (`unit` bytes), `extra` in bytes; without a limit the line is at the
    end of the axis.
    """
    low, high = plot.x_range
    step = axes.nice_step((high - low) / 200)
    return {
        "at": plot.at,
        "low": low,
        "high": high,
        "step": step,
        "unit": plot.unit,
        "extra": plot.line.extra,
        "context": plot.line.context,
    }
