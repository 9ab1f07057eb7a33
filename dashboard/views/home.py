"""Draw the first page's chart: loss against size, every file named, and the user's memory as a line."""

from __future__ import annotations

from dashboard.figures import size_loss
from dashboard.figures.drawing import Drawing
from dashboard.figures.size_loss_axes import COLUMN
from dashboard.insights import Insight
from dashboard.insights.answers import Answers, perhaps_meeting
from dashboard.insights.engine_gap import gap_insight
from dashboard.insights.memory_line import memory_line
from dashboard.insights.recommender import usable
from dashboard.insights.resolution import EQUIVALENT, LANDMARKS, MANY
from dashboard.insights.summary import takeaways
from dashboard.insights.undrawn import undrawn
from dashboard.results.exported import variants_with
from dashboard.results.rows import Row, complete, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.views import View


def _rows(scope: Scope) -> list[Row]:
    return complete(scope.rows, COLUMN, "size_bytes")


def draw(scope: Scope) -> Drawing:
    """Draw all files with a mean KLD."""
    return size_loss.draw(scope, _rows(scope))


def headline(scope: Scope) -> str:
    """Return the answer in one sentence: within the user's limits, else for everyday use."""
    return Answers.of(scope).headline


def insights(scope: Scope) -> list[Insight]:
    """Say which method is closest at which sizes, and what else the chart shows."""
    passing = scope.rows
    rows = one_place(passing)
    found = takeaways(scope) if usable(rows) or not rows else []
    packed = gap_insight(rows, scope.selection)
    return [
        *found,
        *([packed] if packed is not None else []),
        *undrawn(passing, _rows(scope), "no KLD was measured"),
    ]


def _noted(scope: Scope) -> str:
    """Explain the ring, open markers at the edge, the bands that are drawn, and the line of memory."""
    rows = _rows(scope)
    if not rows:
        return ""
    answers = Answers.of(scope)
    few, many = (formats.number(edge, 1) for edge in (EQUIVALENT, MANY))
    parts = ["The answer is ringed."] if answers.chosen in rows else []
    if any(row[COLUMN] <= 0 for row in rows):
        parts.append("Open markers at the lower edge: a KLD of 0.")
    parts.append(f"Shading changes at {few} and {many} nats; {LANDMARKS}.")
    if answers.need.limits:
        line = memory_line(answers)
        perhaps = perhaps_meeting(scope, answers.need, rows)
        parts.append(f"Faint: files beyond your limits{', or not known to meet them' if perhaps else ''}.")
        if line.context is not None and line.limit is not None:
            several = len({row["model"] for row in rows}) > 1 and answers.rows
            owner = f"files of {answers.rows[0]['model']}" if several else "files"
            parts.append(f"The line is your memory less what cache and buffers take (median of the {owner}).")
    return " ".join(parts)


VIEW = View(
    id="overview",
    number=0,
    tab="Overview",
    title="Loss against size",
    caption="Lower is closer to the baseline. Bars: 95 % intervals.",
    headline=headline,
    draw=draw,
    insights=insights,
    noted=_noted,
    data=variants_with("kld_mean", "ln_ppl_ratio"),
)
