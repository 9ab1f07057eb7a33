"""Mark what a plot of speed is read by: the best corner, what the title compares, and files of 4 to 5 bits."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Box, Point
from dashboard.figures.levels import add_note, text_width
from dashboard.figures.scales import LogScale
from dashboard.insights.claim_rules import Spread
from dashboard.insights.speeds import of_four_bits
from dashboard.results.rows import Row
from dashboard.style.theme import BASELINE, HIGHLIGHT, QUIET


def note_corner(drawn: Drawing) -> Box:
    """Say in which corner the best files are; return the note's box in shares of the plot."""
    text = "faster and closer ↘"
    place = {"x": 0.99, "xanchor": "right", "y": 0.01, "yanchor": "bottom"}
    drawn.add_annotation(text=text, showarrow=False, xref="paper", yref="paper", **place)
    return 1 - text_width(text), 0.0, 1.0, 0.06


def shade(drawn: Drawing, ends: Sequence[float], across: Sequence[float], text: str) -> Box:
    """Shade a range of speeds and say what it is; return the note's box in shares of the plot."""
    low, high = sorted(map(float, ends))
    place = {"x0": low, "x1": high, "yref": "y domain", "y0": 0, "y1": 1}
    drawn.add_shape(type="rect", **place, fillcolor=HIGHLIGHT, line={"width": 0}, layer="below")
    return add_note(drawn, across, low, text)


def shade_four(drawn: Drawing, rows: Sequence[Row], column: str, scale: LogScale) -> None:
    """Shade the points of files of 4 to 5 measured bits."""
    four = of_four_bits(rows)
    if not four:
        return
    drawn.add_scatter(
        x=[row[column] for row in four],
        y=[scale.place(row["kld_mean"]) for row in four],
        mode="markers",
        marker={"size": 22, "color": QUIET, "line": {"width": 0}},
        name="4 to 5 measured bits",
        hoverinfo="skip",
    )


def draw_front(drawn: Drawing, points: Sequence[Point], scale: LogScale) -> None:
    """Join the files that no other beats in both speed and loss; `points` are sorted and in the scale's unit."""
    drawn.add_scatter(
        x=[x for x, _ in points],
        y=[10**height for _, height in points],
        mode="lines",
        line={"color": BASELINE.color, "width": 2, "dash": "dot"},
        name="Pareto front",
        hoverinfo="skip",
    )


def draw_reach(drawn: Drawing, rows: Sequence[Row], columns: Spread, scale: LogScale) -> None:
    """Draw faint lines from files down to the lower end of their range."""
    low, middle, _ = columns
    drawn.add_scatter(
        x=[x for row in rows for x in (row[low], row[middle], None)],
        y=[y for row in rows for y in (*[scale.place(row["kld_mean"])] * 2, None)],
        mode="lines",
        line={"color": QUIET, "width": 1.2},
        showlegend=False,
        hoverinfo="skip",
    )
