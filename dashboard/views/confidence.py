"""Draw view 6: confidence of the next token."""

from __future__ import annotations

import polars as pl

from dashboard.figures import bin_changes, charts, share_bars
from dashboard.figures.drawing import Drawing
from dashboard.insights import Insight
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.confidence import (
    Shares,
    change_frame,
    changes,
    ends_of_kept,
    moved,
    shares,
    tells_sure,
)
from dashboard.insights.confidence_findings import (
    best_kept,
    change_title,
    kept_title,
    largest_change,
    least_kept,
    levels_title,
    lost,
    most_changed,
    not_kept,
    unchanged,
    where_it_diverges,
)
from dashboard.insights.matching import evenly, representatives
from dashboard.results.exported import per_variant
from dashboard.results.rows import Row, by_method, complete, one_place
from dashboard.results.scope import Scope
from dashboard.views import Option, View, absent_tokens

_SHARE = Option(
    "share",
    "Bars",
    (("change", "change from the baseline"), ("own", "each variant"), ("baseline", "by the baseline's bins")),
)
_MOST_PANELS, _MOST_ROWS = 6, 60
_BY_BASELINE = per_variant(Scope.bins)
_NO_TOKENS = "No selected variant has per-token data"


def figure(scope: Scope) -> Drawing:
    """Draw the changes of the bins, the bins of each variant, or where the tokens of the baseline's bins moved."""
    rows, share = _drawn(scope), _SHARE.of(scope.selection)
    if share == "baseline":
        found = [(row, scope.bins(str(row["variant_id"]))) for row in rows]
        lines = [
            (row, [line for line in bins.to_dicts() if line["n"]]) for row, bins in found if bins is not None
        ]
        told = [str(row["variant_id"]) for row, _ in ends_of_kept(scope, rows)]
        return (
            share_bars.by_baseline(lines, told, scope.selection)
            if lines
            else charts.message_figure(_NO_TOKENS)
        )
    if not rows:
        return charts.message_figure(_NO_TOKENS)
    if share == "own":
        return _own(scope, rows, _told_of_own(scope, rows))
    changed = changes(scope, rows)
    if not changed:
        return charts.message_figure(_NO_TOKENS)
    subject = least_kept(scope, changed) if scope.selection.bins else largest_change(changed)
    return bin_changes.figure(changed, subject, scope.selection)


def _told_of_own(scope: Scope, rows: list[Row]) -> str:
    """Return the id of the variant in the title of the variants' own shares; empty without one."""
    if scope.selection.bins:
        told = ends_of_kept(scope, rows)[:1]
    else:
        largest = most_changed(known) if (known := moved(scope, rows)) else None
        told = [largest] if largest is not None else []
    return str(told[0][0]["variant_id"]) if told else ""


def _own(scope: Scope, rows: list[Row], told: str) -> Drawing:
    groups: dict[str, list[Shares]] = {}
    for name, group in by_method(rows).items():
        groups[name] = [item for row in group if (item := shares(scope, row)) is not None]
    bases = [shares(scope, scope.baseline_of(group[0].row)) for group in groups.values()]
    return share_bars.own_shares(groups, bases, told, scope.selection)


def headline(scope: Scope) -> str:
    """Name the variant with the largest change of a bin's share that is more than the error.

    By the baseline's bins, and under a filter of them, say which share of the tokens is kept there.
    """
    drawn, share = _drawn(scope), _SHARE.of(scope.selection)
    if share == "baseline" or scope.selection.bins:
        return kept_title(scope, drawn) if ends_of_kept(scope, drawn) or share == "baseline" else _NO_TOKENS
    if share == "own":
        known = moved(scope, drawn)
        return levels_title(scope, known) if known else _NO_TOKENS
    changed = changes(scope, drawn)
    return change_title(changed) if changed else _NO_TOKENS


def _drawn(scope: Scope) -> list[Row]:
    """Return the drawn variants, which the title and insights about single variants are limited to."""
    rows, share = one_place(complete(scope.rows, "ppl")), _SHARE.of(scope.selection)
    if share == "baseline":
        return representatives(rows, scope.selection, _MOST_PANELS)
    measured = [row for row in rows if shares(scope, row) is not None]
    groups = list(by_method(measured).values())
    if share == "own":
        return [row for group in groups[:_MOST_PANELS] for row in group]
    if len(measured) <= _MOST_ROWS:
        return [row for group in groups for row in group]
    kept = [row for group in groups for row in evenly(group, max(2, _MOST_ROWS // len(groups)))]
    return kept + [row for row in measured if row["variant_id"] in scope.selection.picked and row not in kept]


def insights(scope: Scope) -> list[Insight]:
    """Compare high-confidence tokens at equal size, name the largest loss and who keeps them, and locate the KLD."""
    passing = complete(scope.rows, "ppl")
    rows = one_place(passing)
    drawn = _drawn(scope)
    known = moved(scope, drawn)
    if not known:
        return [NOTHING]
    filtered = bool(scope.selection.bins)
    candidates = [
        best_kept(scope, [row for row, _ in moved(scope, rows)]),
        *([not_kept(scope, drawn)] if filtered else [lost(scope, known), unchanged(known)]),
        where_it_diverges(scope, [row for row, _ in known]),
        *elsewhere(passing, rows),
    ]
    if len(drawn) < len(rows):
        candidates.append(
            Insight(
                f"{len(drawn)} of {len(rows)} variants {'is' if len(drawn) == 1 else 'are'} drawn.",
                "note",
                _rule(scope),
            )
        )
    return [insight for insight in candidates if insight is not None]


def _rule(scope: Scope) -> str:
    """Say which variants are drawn."""
    share = _SHARE.of(scope.selection)
    if share == "change":
        return f"variants with per-token data; of more than {_MOST_ROWS}, some of each size"
    which = "variants" if share == "own" else "the picked variants, else one per method,"
    return f"{which} with per-token data, in at most {_MOST_PANELS} panels"


def _data(scope: Scope) -> pl.DataFrame:
    """Return where the tokens of the baseline's bins are if that is drawn, else the shares with their changes."""
    return _BY_BASELINE(scope) if _SHARE.of(scope.selection) == "baseline" else change_frame(scope)


def _noted(scope: Scope) -> str:
    """Say what a filter of confidence does to shares."""
    if not scope.selection.bins:
        return ""
    return "The tokens are chosen by the baseline's confidence, so variants can only have fewer there."


VIEW = View(
    id="confidence",
    tells=tells_sure,
    number=6,
    tab="Confidence",
    title="Confidence of the next token",
    caption="Share of scored tokens by the probability a model gives its own most likely token. Differences are "
    "paired over the same tokens and clustered by window. "
    "Click a bar to filter all views to the tokens in that bin of the baseline.",
    noted=_noted,
    headline=headline,
    draw=figure,
    insights=insights,
    data=_data,
    absent=absent_tokens,
    captions={
        "change": "Each bar is the change of a variant's share in one bin, from its own probabilities; lines are "
        "95 % intervals. All bins have one scale, and a variant's changes add up to 0. Files with fewer bits are on "
        "top; the title's file stands out, and its method comes first.",
        "own": "Dotted lines mark the edges of the baseline's bins.",
        "baseline": "Each bar holds the tokens of one bin of the baseline; the framed part is in the same bin here.",
    },
    options=(_SHARE,),
    pick="bin",
    claims=claims_of("confidence"),
)
