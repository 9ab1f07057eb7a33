"""State what view 6 finds: who keeps high-confidence tokens, who loses them, and where the divergence is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dashboard.insights import Insight
from dashboard.insights.bands import bands, typical
from dashboard.insights.claims.confidence import points
from dashboard.insights.comparison import ONE_METHOD, rank_files, tie
from dashboard.insights.confidence import (
    SURE,
    Change,
    bin_names,
    bins_told,
    ends_of_kept,
    moved,
    shares,
)
from dashboard.insights.faults import sound
from dashboard.insights.matching import one_type
from dashboard.results.rows import Row, by_method
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style import formats

Changes = Sequence[tuple[Row, Estimate]]


def most_changed(changes: Changes) -> tuple[Row, Estimate] | None:
    """Return the largest change of the share of high-confidence tokens.

    None if it is within the error that holds for all variants together.
    """
    row, change = max(changes, key=lambda item: abs(item[1].value))
    return (row, change) if abs(change.value) > change.reach(len(changes)) else None


def largest_change(changes: Sequence[Change]) -> tuple[Change, int] | None:
    """Return the largest change of a bin's share, and the bin.

    None if it is within the error that holds for all bins of all variants together.
    """
    every = [(change, index) for change in changes for index in range(len(change.bins))]
    change, index = max(every, key=lambda item: abs(item[0].bins[item[1]].value))
    estimate = change.bins[index]
    return (change, index) if abs(estimate.value) > estimate.reach(len(every)) else None


def change_title(changes: Sequence[Change]) -> str:
    """Name the variant with the largest change of a bin's share, and the bin."""
    told = largest_change(changes)
    if told is None:
        return "No shown variant changes the share of tokens in any bin by more than the error of all bins together"
    change, index = told
    estimate = change.bins[index]
    size = f"{formats.with_error(100 * abs(estimate.value), 100 * estimate.half)} percentage points"
    way = "fewer" if estimate.value < 0 else "more"
    return f"{change.row['label']} has {size} {way} {_tokens_of(index)} than the baseline, the largest change"


def _tokens_of(*bins: int) -> str:
    """Return what the tokens of bins are called."""
    if bins == (SURE,):
        return "high-confidence tokens (top probability over 0.95)"
    if bins == (0,):
        return "low-confidence tokens (top probability up to 0.25)"
    names = bin_names()
    return f"tokens with a top probability of {formats.listing([names[index] for index in bins], len(names))}"


def kept_title(scope: Scope, rows: Sequence[Row]) -> str:
    """Say which share of the baseline's tokens in `bins_told` the rows keep: the least and the most."""
    ends = ends_of_kept(scope, rows)
    tokens = _tokens_of(*bins_told(scope.selection))
    if not ends:
        return f"The baseline has no {tokens} here"
    (least, share), *most = ends
    names = [f"{least['label']} keeps {_per_cent(share)} there"]
    names += [f"{row['label']} {_per_cent(other)}" for row, other in most]
    return f"Of the baseline's {tokens}, {' and '.join(names)}"


def _per_cent(share: Estimate) -> str:
    return f"{formats.with_error(100 * share.value, 100 * share.half)} %"


def least_kept(scope: Scope, changes: Sequence[Change]) -> tuple[Change, int] | None:
    """Return the change of the first file in `kept_title`, and the filtered bin that it loses most of."""
    ends = ends_of_kept(scope, [change.row for change in changes])
    mine = [change for change in changes if ends and change.row is ends[0][0]]
    if not mine:
        return None
    return mine[0], min(bins_told(scope.selection), key=lambda index: mine[0].bins[index].value)


def not_kept(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    """Say which bins the filtered tokens are in by the file that keeps the least of them; None if it keeps all."""
    ends = ends_of_kept(scope, rows)
    own = shares(scope, ends[0][0]) if ends else None
    if own is None:
        return None
    bins, names = bins_told(scope.selection), bin_names()
    others = sorted(
        ((share, names[index]) for index, share in enumerate(own.values) if share > 0 and index not in bins),
        reverse=True,
    )
    if not others:
        return None
    where = formats.listing([f"{formats.percent(share)} at {name}" for share, name in others])
    text = f"Of the tokens in the filter, {own.row['label']} has {where}."
    return Insight(text, "finding", f"{formats.count(own.n)} tokens, by the file's own top probability")


def levels_title(scope: Scope, changes: Changes) -> str:
    """Name the variant whose share of high-confidence tokens changed most, by both shares."""
    told = most_changed(changes)
    if told is None:
        return "No shown variant changes the share of high-confidence tokens by more than the error"
    row, change = told
    own = shares(scope, row)
    share = own.values[SURE] if own is not None else math.nan
    ours, base = formats.percent(share), formats.percent(share - change.value)
    return (
        f"High-confidence tokens (top probability over 0.95): {row['label']} has {ours}, the baseline {base}"
    )


def best_kept(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    """Say who keeps the most tokens at a typical size that most methods have.

    They are the high-confidence ones, or those of the baseline in the filtered bin; None for several bins.
    """
    if len(by_method(rows)) < 2:
        return ONE_METHOD
    index, *more = bins_told(scope.selection)
    band = typical(bands(scope, sound(scope.results, rows)))
    if band is None or more:
        return None
    ranking = rank_files(scope, band.files, f"bin{index}", largest=True)
    if ranking is None:
        return None
    place = f"At {formats.size(band.size)} ({formats.bits(band.bits)})"
    name = bin_names()[index]
    tokens = "high-confidence tokens" if index == SURE else f"tokens kept at {name}"
    of_all = "high-confidence tokens" if index == SURE else f"of the baseline's tokens at {name}"
    detail = f"tokens {'over 0.95' if index == SURE else f'at {name}'}, paired: "
    detail += "; ".join(
        f"{ranking.best} {points(gap)} ahead of {method}" for method, gap in ranking.gaps.items()
    )
    if ranking.tied:
        return Insight(f"{place}, by {tokens}, {tie(ranking)}.", ranking.undecided, detail)
    return Insight(f"{place}, {ranking.best} keeps the most {of_all}.", "finding", detail)


def lost(scope: Scope, changes: Changes) -> Insight | None:
    """Name the largest loss, if any with 95 % for all variants together, and the bins that grow."""
    row, change = min(changes, key=lambda item: item[1].value)
    if not -change.value > change.reach(len(changes)):
        return None
    gained = []
    for index, name in enumerate(bin_names()[:SURE]):
        for _, other in moved(scope, [row], index):
            if other.low > 0:
                gained.append((other.value, f"{name} ({formats.signed(100 * other.value, 2)})"))
    names = [name for _, name in sorted(gained, reverse=True)]
    into = (
        f"bins that grow, in points: {formats.listing(names)}"
        if names
        else "no other bin grows by more than its error"
    )
    most = "the most " if len(changes) > 1 else ""
    text = f"{row['label']} loses {most}high-confidence tokens: {points(change)}."
    return Insight(text, "finding", into)


def unchanged(changes: Changes) -> Insight:
    """Name the variants with as many high-confidence tokens as the baseline, within the error."""
    if not any(change.has_error for _, change in changes):
        text = "Whether the share of high-confidence tokens changes is unknown: the error was not measured."
        return Insight(text, "unknown", "an error needs at least two windows")
    same = [row["label"] for row, change in changes if not change.differs_from_zero]
    variants = f"; {len(changes)} variants" if len(changes) > 1 else ""
    detail = f"share of tokens over 0.95 against the baseline, paired, 95 %{variants}"
    if not same and len(changes) == 1:
        return Insight(
            "The share of high-confidence tokens changes by more than the error.", "finding", detail
        )
    if not same:
        return Insight("Every shown variant changes the share of high-confidence tokens.", "finding", detail)
    text = f"As many high-confidence tokens as the baseline, within the error: {formats.listing(same)}."
    return Insight(text, "tie", detail)


def where_it_diverges(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    """Compare the mean KLD between the baseline's bins of confidence."""
    for row in one_type(rows)[:1]:
        bins = scope.bins(str(row["variant_id"]))
        if bins is None:
            continue
        known = [line for line in bins.to_dicts() if line["n"] and line["kld"] is not None]
        if len(known) < 2:
            continue
        worst, least = max(known, key=lambda line: line["kld"]), min(known, key=lambda line: line["kld"])
        if worst["kld"] <= max(0.0, least["kld"]):
            continue
        names = bin_names()
        text = f"{row['label']} diverges most where the baseline's top probability is {names[worst['bin']]}."
        numbers = [f"{names[line['bin']]}: {formats.number(line['kld'], 2)}" for line in (worst, least)]
        return Insight(text, "finding", f"mean KLD in nats at {'; at '.join(numbers)}")
    return None
