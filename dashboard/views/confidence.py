"""Draw view 6: confidence of the next token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from dashboard.figures import charts, share_bars
from dashboard.figures.drawing import Drawing
from dashboard.figures.panels import Panels
from dashboard.insights import Insight
from dashboard.insights.bands import bands, typical
from dashboard.insights.claims import claims_of
from dashboard.insights.claims.confidence import points
from dashboard.insights.comparison import NOTHING, ONE_METHOD, elsewhere, rank_files, tie
from dashboard.insights.confidence import SURE, Shares, bin_names, moved, of_the_sure, shares, tells_sure
from dashboard.insights.faults import sound
from dashboard.insights.matching import one_type, representatives
from dashboard.results.exported import per_variant
from dashboard.results.rows import Row, by_method, complete, one_place, type_name
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from dashboard.style.names import in_figure
from dashboard.style.theme import CONFIDENCE, QUIET
from dashboard.views import Option, View, absent_tokens

_SHARE = Option("share", "Bars", (("own", "each variant"), ("baseline", "by the baseline's bins")))
_MOST_PANELS = 6
_DIMMED = 0.3


def figure(scope: Scope) -> Drawing:
    """Draw stacked bars of the bins: per variant with a panel per method, or per bin of the baseline."""
    rows = one_place(complete(scope.rows, "ppl"))
    if _SHARE.of(scope.selection) == "baseline":
        return _by_baseline(scope, rows)
    measured = [item for item in (shares(scope, row) for row in rows) if item is not None]
    if not measured:
        return charts.message_figure("No selected variant has per-token data")
    panels = list(by_method([item.row for item in measured]).items())[:_MOST_PANELS]
    own = _names_differ([{type_name(row) for row in group} for _, group in panels])
    titles = [name for name, _ in panels]
    drawn = share_bars.grid(titles, shared=not own, titled=len(panels) > 1)
    of = {item.row["variant_id"]: item for item in measured}
    order = sorted([row for _, group in panels for row in group], key=lambda row: row["bits_per_weight"])
    names, picked = list(dict.fromkeys(type_name(row) for row in reversed(order))), scope.selection.picked
    drawn.update_yaxes(**share_bars.lanes(["baseline", *names]))
    for index, (_, group) in enumerate(panels):
        base = shares(scope, scope.baseline_of(group[0]))
        bars = [("baseline", base)] if base is not None else []
        bars += [(type_name(row), of[row["variant_id"]]) for row in group]
        if own:
            mine = [type_name(row) for row in reversed(group)]
            drawn.update_yaxes(cells=[index], **share_bars.lanes(["baseline", *mine]))
        _stack(drawn, index, bars, scope.selection, [item.row for item in measured])
        lanes = [type_name(row) for row in group[::-1]] if own else names
        share_bars.frame(drawn, index, lanes, [row for row in group if row["variant_id"] in picked])
        if base is not None:
            _reference(drawn, index, base)
    return share_bars.finish(drawn, "share of scored tokens")


def _names_differ(panels: Sequence[set[str]]) -> bool:
    """Return whether panels share so few names that common rows would be mostly empty."""
    return len(set().union(*panels)) > 1.5 * max(map(len, panels))


def _stack(
    drawn: Panels, index: int, bars: Sequence[tuple[str, Shares]], selection: Selection, shown: Sequence[Row]
) -> None:
    """Add the named bars of one panel."""
    picking = charts.is_picking(selection, shown)
    for bin_index, name in enumerate(bin_names()):
        values = [100 * item.values[bin_index] for _, item in bars]
        dim = [picking and not _stays(item.row, selection) for _, item in bars]
        drawn.add_bar(
            y=[in_figure(label) for label, _ in bars],
            x=values,
            orientation="h",
            marker={
                "color": CONFIDENCE[bin_index],
                "line": {"width": 0},
                "opacity": [_DIMMED if faint else 1 for faint in dim],
            },
            text=[f"{value:.0f}" if value >= 9 else "" for value in values],
            customdata=[[item.row["variant_id"], bin_index] for _, item in bars],
            hovertext=[_hover(item, bin_index, name) for _, item in bars],
            **share_bars.style(bin_index, name, index),
            **drawn.place(index),
        )


def _stays(row: Row, selection: Selection) -> bool:
    return bool(row["is_baseline"]) or row["variant_id"] in selection.picked


def _reference(drawn: Panels, index: int, base: Shares) -> None:
    """Draw the baseline's bin edges down a panel as lines."""
    x, y = drawn.place(index)["xaxis"], drawn.place(index)["yaxis"]
    line = {"color": "rgba(255,255,255,0.7)", "width": 1.3, "dash": "dot"}
    for edge in list(accumulate(base.values))[:-1]:
        place = {"xref": x, "yref": f"{y} domain", "x0": 100 * edge, "x1": 100 * edge, "y0": 0, "y1": 1}
        drawn.add_shape(type="line", line=line, **place)


def _by_baseline(scope: Scope, rows: Sequence[Row]) -> Drawing:
    """Draw, per variant, into which bins the tokens of each baseline bin moved."""
    chosen = representatives(rows, scope.selection, _MOST_PANELS)
    moved_to = [(row, bins) for row in chosen if (bins := scope.bins(str(row["variant_id"]))) is not None]
    if not moved_to:
        return charts.message_figure("No selected variant has per-token data")
    drawn = share_bars.grid([str(row["label"]) for row, _ in moved_to], shared=True, titled=True)
    names = bin_names()
    for index, (row, bins) in enumerate(moved_to):
        lines = [line for line in bins.to_dicts() if line["n"]]
        for own, name in enumerate(names):
            values = [100 * line[f"bin{own}"] / line["n"] for line in lines]
            drawn.add_bar(
                y=[names[line["bin"]] for line in lines],
                x=values,
                orientation="h",
                marker={
                    "color": CONFIDENCE[own],
                    "line": {"width": [2 if line["bin"] == own else 0 for line in lines], "color": QUIET},
                },
                text=[f"{value:.0f}" if value >= 9 else "" for value in values],
                customdata=[[row["variant_id"], line["bin"]] for line in lines],
                hovertext=[_moved_hover(row, line, name, names) for line in lines],
                **share_bars.style(own, name, index),
                **drawn.place(index),
            )
    drawn.update_yaxes(**share_bars.lanes(names[::-1]))
    drawn.update_yaxes(cells=drawn.first_column, title_text="the baseline's bin")
    return share_bars.finish(drawn, "share of the bin's tokens, by the variant's own probability")


def _hover(item: Shares, index: int, name: str) -> str:
    return (
        f"<b>{in_figure(item.row['label'])}</b><br>top probability {name}<br>"
        f"{formats.percent(item.values[index], 2)} of {formats.count(item.n)} tokens"
    )


def _moved_hover(row: Row, line: dict[str, float], name: str, names: Sequence[str]) -> str:
    share = formats.percent(line[f"bin{names.index(name)}"] / line["n"])
    tokens = f"of {formats.count(int(line['n']))} tokens at {names[int(line['bin'])]} in the baseline"
    text = [f"<b>{in_figure(row['label'])}</b>", tokens, f"{share} are at {name} here"]
    if line["kld"] is not None:
        text.append(
            f"mean KLD {formats.number(line['kld'])} nats, same top token {formats.percent(line['same_top'])}"
        )
    return "<br>".join(text)


def headline(scope: Scope) -> str:
    """Name the variant whose share of high-confidence tokens changed most, if by more than the error."""
    drawn = _drawn(scope)
    if _SHARE.of(scope.selection) == "baseline":
        return of_the_sure(scope, drawn)
    changes = moved(scope, drawn)
    if not changes:
        return "No selected variant has per-token data"
    row, change = max(changes, key=lambda item: abs(item[1].value))
    if not abs(change.value) > change.reach(len(changes)):
        return "No shown variant changes the share of high-confidence tokens by more than the error"
    own = shares(scope, row)
    share = own.values[SURE] if own is not None else math.nan
    levels = f"{formats.percent(share)}, the baseline {formats.percent(share - change.value)}"
    return f"High-confidence tokens (top probability over 0.95): {row['label']} has {levels}"


def _drawn(scope: Scope) -> list[Row]:
    """Return the drawn variants, which the title and insights about single variants are limited to."""
    rows = one_place(complete(scope.rows, "ppl"))
    if _SHARE.of(scope.selection) == "baseline":
        return representatives(rows, scope.selection, _MOST_PANELS)
    measured = [row for row in rows if scope.results.parts(str(row["variant_id"])) is not None]
    groups = list(by_method(measured).values())[:_MOST_PANELS]
    return [row for group in groups for row in group]


def insights(scope: Scope) -> list[Insight]:
    """Compare high-confidence tokens at equal size, name the largest loss and who keeps them, and locate the KLD."""
    passing = complete(scope.rows, "ppl")
    rows = one_place(passing)
    drawn = _drawn(scope)
    changes = moved(scope, drawn)
    if not changes:
        return [NOTHING]
    candidates = [
        _methods(scope, [row for row, _ in moved(scope, rows)]),
        _lost(scope, changes),
        _kept(changes),
        _where_it_hurts(scope, [row for row, _ in changes]),
        *elsewhere(passing, rows),
    ]
    if len(drawn) < len(rows):
        own = _SHARE.of(scope.selection) == "own"
        which = "variants" if own else "the picked variants, else one per method,"
        rule = f"{which} with per-token data, in at most {_MOST_PANELS} panels"
        candidates.append(Insight(f"{len(drawn)} of {len(rows)} variants are drawn.", "note", rule))
    return [insight for insight in candidates if insight is not None]


def _methods(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    """Say who keeps the most high-confidence tokens at a typical size that most methods have."""
    if len(by_method(rows)) < 2:
        return ONE_METHOD
    band = typical(bands(scope, sound(scope.results, rows)))
    if band is None:
        return None
    ranking = rank_files(scope, band.files, f"bin{SURE}", largest=True)
    if ranking is None:
        return None
    place = f"At {formats.size(band.size)} ({formats.bits(band.bits)})"
    detail = "tokens over 0.95, paired: "
    detail += "; ".join(
        f"{ranking.best} {points(gap)} ahead of {method}" for method, gap in ranking.gaps.items()
    )
    if ranking.tied:
        return Insight(f"{place}, by high-confidence tokens, {tie(ranking)}.", ranking.undecided, detail)
    return Insight(f"{place}, {ranking.best} keeps the most high-confidence tokens.", "finding", detail)


def _lost(scope: Scope, changes: Sequence[tuple[Row, Estimate]]) -> Insight | None:
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


def _kept(changes: Sequence[tuple[Row, Estimate]]) -> Insight:
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


def _where_it_hurts(scope: Scope, rows: Sequence[Row]) -> Insight | None:
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


VIEW = View(
    id="confidence",
    tells=tells_sure,
    number=6,
    tab="Confidence",
    title="Confidence of the next token",
    caption="Share of scored tokens by the probability a model gives its own most likely token. Differences are "
    "paired over the same tokens and clustered by window. "
    "Click a bar to filter all views to the tokens in that bin of the baseline.",
    headline=headline,
    draw=figure,
    insights=insights,
    data=per_variant(Scope.bins),
    absent=absent_tokens,
    captions={
        "own": "Dotted lines mark the edges of the baseline's bins.",
        "baseline": "Each bar holds the tokens of one bin of the baseline; the framed part is in the same bin here.",
    },
    options=(_SHARE,),
    pick="bin",
    claims=claims_of("confidence"),
)
