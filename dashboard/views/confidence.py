"""View 6: how sure the model is of its next token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import plotly.graph_objects as go

from dashboard import charts, formats
from dashboard.charts import Row
from dashboard.insights import Insight
from dashboard.insights.comparison import NOTHING
from dashboard.insights.statistics import Estimate
from dashboard.results import Results
from dashboard.selection import Selection
from dashboard.theme import CONFIDENCE
from dashboard.token_summaries import CONFIDENCE_EDGES
from dashboard.views import View, absent_tokens

_SURE = 4


@dataclass(frozen=True)
class Shares:
    """Shares of scored tokens per confidence bin of a variant, `n` tokens in all."""

    row: Row
    values: tuple[float, ...]
    n: int

    @property
    def entropy(self) -> float:
        """Entropy of the shares in nats; ln 5 when all bins hold the same."""
        return -sum(share * math.log(share) for share in self.values if share > 0)


def shares(results: Results, row: Row) -> Shares | None:
    """Compute the shares of one variant; None without its token file."""
    windows = results.windows(str(row["variant_id"]))
    if windows is None:
        return None
    total = int(windows["bin0_n"].sum())
    names = [f"bin{index}" for index in range(len(CONFIDENCE_EDGES) - 1)]
    return Shares(row, tuple(float(windows[name].sum()) / total for name in names), total) if total else None


def _all(results: Results, selection: Selection) -> list[Shares]:
    """Baseline first, then the picked variants that have token files."""
    rows = [dict(results.baseline), *results.select(selection).to_dicts()]
    return [found for found in (shares(results, row) for row in rows) if found is not None]


def bin_names() -> list[str]:
    """Name the bins: `0–0.25` and so on."""
    pairs = pairwise(CONFIDENCE_EDGES)
    return [f"{low:g}–{high:g}" for low, high in pairs]


def figure(results: Results, selection: Selection) -> go.Figure:
    """Stacked horizontal bars of the bins of the top probability, a bar per variant, the baseline on top."""
    found = _all(results, selection)
    if not found:
        return charts.message_figure("No token frames to show")
    drawn = go.Figure()
    names = [str(item.row["label"]) for item in found]
    crowded = len(found) > 18
    for index, name in enumerate(bin_names()):
        values = [item.values[index] for item in found]
        drawn.add_bar(
            y=names,
            x=[100 * value for value in values],
            orientation="h",
            name=name,
            marker={"color": CONFIDENCE[index], "line": {"width": 0}},
            text=[f"{100 * value:.1f}" if value >= 0.05 and not crowded else "" for value in values],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": "#ffffff", "size": 11},
            hovertext=[_hover(item, index, name) for item in found],
            hoverinfo="text",
        )
    drawn.update_layout(barmode="stack", bargap=0.22, legend={"traceorder": "normal"})
    drawn.update_xaxes(title_text="share of scored tokens", ticksuffix=" %", range=[0, 100], showgrid=False)
    drawn.update_yaxes(
        autorange="reversed", ticks="", showline=False, tickfont={"size": 11 if not crowded else 9}
    )
    drawn.update_layout(legend_title={"text": "probability of the top token", "font": {"size": 11}})
    return drawn


def _hover(item: Shares, index: int, name: str) -> str:
    return (
        f"<b>{item.row['label']}</b><br>top probability {name}<br>"
        f"{formats.percent(item.values[index], 2)} of {formats.count(item.n)} tokens"
    )


def shift(results: Results, row: Row, index: int = _SURE) -> Estimate | None:
    """Share of a bin in the variant minus in the baseline, paired, with an error clustered by window."""
    return results.paired(str(row["variant_id"]), str(results.baseline["variant_id"]), f"bin{index}")


def headline(results: Results, selection: Selection) -> str:
    """Name the variant whose share of sure tokens moved most, if that stands out of its error."""
    moved = _shifts(results, selection)
    if not moved:
        return "No selected variant has token frames"
    row, change = max(moved, key=lambda item: abs(item[1].value))
    if not change.differs_from_zero:
        return "No selected variant moves the share of sure tokens by more than its error"
    direction = "loses" if change.value < 0 else "gains"
    points = formats.number(100 * abs(change.value), 2)
    return f"{row['label']} {direction} {points} points of its sure tokens (top probability over 0.95)"


def _shifts(results: Results, selection: Selection) -> list[tuple[Row, Estimate]]:
    rows = results.select(selection).to_dicts()
    pairs = [(row, shift(results, row)) for row in rows]
    return [(row, change) for row, change in pairs if change is not None]


def insights(results: Results, selection: Selection) -> list[Insight]:
    """Who keeps the sure tokens, who loses them, where they go, and how even the shares are."""
    moved = _shifts(results, selection)
    if not moved:
        return [NOTHING]
    found = [_kept(moved), *_lost(results, moved), *_methods(moved)]
    items = [item for item in _all(results, selection) if not item.row["is_baseline"]]
    even = max(items, key=lambda item: item.entropy)
    detail = (
        f"entropy of the five shares {formats.number(even.entropy, 3)} nats, {formats.count(even.n)} tokens"
    )
    return [*found, Insight(f"{even.row['label']} spreads most evenly over the bins.", "finding", detail)]


def _kept(moved: Sequence[tuple[Row, Estimate]]) -> Insight:
    same = [row["label"] for row, change in moved if not change.differs_from_zero]
    detail = (
        f"share of tokens over 0.95 against the baseline, paired, clustered by window; {len(moved)} variants"
    )
    if not same:
        return Insight("Every selected variant moves the share of sure tokens.", "finding", detail)
    return Insight(f"As sure as the baseline, within the error: {formats.listing(same)}.", "tie", detail)


def _lost(results: Results, moved: Sequence[tuple[Row, Estimate]]) -> list[Insight]:
    row, change = min(moved, key=lambda item: item[1].value)
    if not change.high < 0:
        return []
    targets = []
    for index, name in enumerate(bin_names()[:_SURE]):
        other = shift(results, row, index)
        if other is not None and other.low > 0:
            targets.append(f"{name} ({formats.signed(100 * other.value, 2)} points)")
    text = f"{row['label']} loses most sure tokens: {_points(change)}."
    into = f"they go to {formats.listing(targets)}" if targets else "no other bin gains more than its error"
    return [Insight(text, "finding", into)]


def _points(change: Estimate) -> str:
    return f"{formats.signed(100 * change.value, 2)} ± {formats.number(196 * change.se, 2)} points"


def _methods(moved: Sequence[tuple[Row, Estimate]]) -> list[Insight]:
    """At the quant type that most methods share: who keeps most sure tokens."""
    by_quant: dict[str, dict[str, Estimate]] = {}
    for row, change in moved:
        by_quant.setdefault(row["quant"], {})[row["method"]] = change
    quant, values = max(by_quant.items(), key=lambda item: (len(item[1]), -abs(_least(item[1])), item[0]))
    if len(values) < 2:
        return []
    best = max(values, key=lambda method: values[method].value)
    tied = [m for m in values if m != best and not values[best].minus(values[m]).low > 0]
    detail = "; ".join(f"{method} {_points(change)}" for method, change in sorted(values.items()))
    if tied:
        names = formats.listing([best, *tied])
        return [Insight(f"At {quant}, who keeps most sure tokens cannot be told: {names}.", "tie", detail)]
    return [Insight(f"At {quant}, {best} keeps most sure tokens.", "finding", detail)]


def _least(values: dict[str, Estimate]) -> float:
    return min(change.value for change in values.values())


VIEW = View(
    id="confidence",
    number=6,
    tab="Confidence",
    title="Confidence of the next token",
    caption="Share of scored tokens by the probability the model gives its own most likely token. "
    "The baseline is on top; differences are paired over the same tokens and clustered by window.",
    headline=headline,
    figure=figure,
    insights=insights,
    absent=absent_tokens,
)
