"""Draw view 5: file size against 1/PPL and quality per megabyte, or memory as run against loss as run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from dashboard.figures import axes, charts, memory_loss
from dashboard.figures.baseline_lines import BaselineLines, text_width
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Box, Labels, shares
from dashboard.insights import Insight, cache_choice
from dashboard.insights.cache_choice import Setting
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.efficiency import above_floor, compression, efficiency, highest, wasted
from dashboard.insights.engine_gap import gap_insight, packing_adds
from dashboard.insights.faults import sound
from dashboard.insights.picks import by_column
from dashboard.insights.recommender import EVERYDAY, within
from dashboard.insights.undrawn import undrawn
from dashboard.insights.verdict import equal_size
from dashboard.results.cache_types import tokens_in_words
from dashboard.results.engines import in_words
from dashboard.results.exported import caches, variants_with
from dashboard.results.results import Results
from dashboard.results.rows import Row, complete, front_of, one_place, ppl_ends
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.style.columns import EFFICIENCY_SCALE
from dashboard.style.theme import QUIET
from dashboard.views import Option, View
from evaluator.support.units import MEGABYTE

_LABEL_HEIGHT = 0.046
_FILE = "file"
#: Tokens in the cache, by the choice of the switch.
_CONTEXTS = {f"{size}k": 1024 * size for size in (4, 8, 16, 32, 128)}


def _too_long(results: Results) -> frozenset[str]:
    """Return the contexts beyond the one that the model was trained for; all without types of the cache."""
    longest = results.manifest.trained_context or math.inf
    known = results.kv_cache() is not None
    return frozenset(name for name, tokens in _CONTEXTS.items() if tokens > longest or not known)


def _is_as_run(scope: Scope) -> bool:
    return _MEMORY.offered(scope.results, scope.selection) != _FILE


_MEMORY = Option(
    "memory",
    "Memory with a cache of",
    ((_FILE, "no tokens (file alone)"), *((name, name) for name in _CONTEXTS)),
    withheld=_too_long,
)
_LOSS = Option("as_run", "Loss", (("kld", "KLD"), ("ppl", "1/PPL")), applies=_is_as_run)


def _setting(scope: Scope) -> Setting | None:
    """Return what is compared with types of the cache; None for files alone."""
    if not _is_as_run(scope):
        return None
    context = _CONTEXTS[_MEMORY.of(scope.selection)]
    return Setting.of(scope, _LOSS.of(scope.selection), context)


def _rows(scope: Scope) -> list[Row]:
    rows = complete(scope.rows, "ppl", "inv_ppl_per_mb")
    return [r for r in rows if r["ppl"] > 0 and r["inv_ppl_per_mb"] > 0]


def figure(scope: Scope) -> Drawing:
    """Draw files alone, or memory against loss with each type of the cache."""
    setting = _setting(scope)
    return _files(scope) if setting is None else memory_loss.draw(scope, setting)


def _files(scope: Scope) -> Drawing:
    """Draw size against 1/PPL with errors, the Pareto front, and lines of equal 1/PPL/MB."""
    rows = _rows(scope)
    if not rows:
        return charts.message_figure("No selected variant has a perplexity and a size")
    drawn = Drawing()
    unit, _ = axes.byte_unit([row["size_bytes"] for row in rows])
    x, y = [row["size_bytes"] / unit for row in rows], [1 / row["ppl"] for row in rows]
    heights = [1 / base["ppl"] for base in scope.baselines_of(rows) if base["ppl"]]
    ends = [1 / end for row in rows for end in ppl_ends(row)]
    x_range, y_range = axes.padded(x, 0.08), axes.padded([*ends, *heights], 0.05)
    x_range[0], y_range[0] = max(0.0, x_range[0]), max(0.0, y_range[0])
    front = sorted(front_of(rows, x, [row["ppl"] for row in rows]), key=lambda index: x[index])
    wanted = {rows[index]["variant_id"] for index in front}
    points = list(zip(x, y, strict=True))
    ranges = (x_range, y_range)
    taken = _iso_lines(drawn, rows, unit / MEGABYTE, x_range, y_range)
    baselines = BaselineLines(scope, rows, ranges, points=points, taken=taken, inverse=True)
    subject = _subject(rows)
    named = scope.selection.picked | ({str(subject["variant_id"])} if subject is not None else set())
    labels = Labels(rows, points, ranges, wanted, named, "top left", baselines.lines)
    baselines.draw(drawn)
    charts.add_front(drawn, rows, [x[i] for i in front], [y[i] for i in front])
    curves = charts.series(scope.results, rows)
    for curve in curves:
        drawn.add_scatter(
            x=[row["size_bytes"] / unit for row in curve.rows],
            y=[1 / row["ppl"] for row in curve.rows],
            error_y=_bars(curve),
            mode="markers+text",
            marker=curve.marker(10),
            hovertext=[
                f"{charts.quality_lines(row)}<br>{efficiency(row)}<br>{packing_adds(row, scope.selection)}"
                for row in curve.rows
            ],
            **labels.at(curve.rows),
            **charts.points(curve, scope.selection, rows),
        )
    charts.add_places(drawn, curves)
    drawn.update_layout(showlegend=True)
    drawn.update_xaxes(title_text=axes.size_title([row["size_bytes"] for row in rows]), range=x_range)
    drawn.update_yaxes(title_text="1 / perplexity", range=y_range, tickformat=".3~g")
    return drawn


def _bars(curve: charts.Series) -> dict[str, Any]:
    ends = [(1 / row["ppl"], *(1 / end for end in ppl_ends(row))) for row in curve.rows]
    over, under = [high - value for value, high, _ in ends], [value - low for value, _, low in ends]
    return charts.error_bars(curve.style, over, under)


def _iso_lines(
    drawn: Drawing, rows: Sequence[Row], mega: float, x_range: Sequence[float], y_range: Sequence[float]
) -> list[Box]:
    """Draw lines of equal 1/PPL/MB with labels at their ends; return the labels' boxes in shares of the plot."""
    boxes: list[Box] = []
    values = [row["inv_ppl_per_mb"] for row in rows]
    low, high = min(values), max(values)
    for level in [low, math.sqrt(low * high), high] if high > 1.15 * low else [high]:
        slope = level * mega
        start, end = max(x_range[0], y_range[0] / slope), min(x_range[1], y_range[1] / slope)
        if end <= start:
            continue
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
        ((x, y),) = shares([(at, slope * at)], (x_range, y_range))
        boxes.append(_label_box(x, y, text_width(text), beside=beside))
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
    return boxes


def _label_box(x: float, y: float, width: float, *, beside: bool) -> Box:
    return (x, y - _LABEL_HEIGHT, x + width, y) if beside else (x - width, y - _LABEL_HEIGHT, x, y)


def headline(scope: Scope) -> str:
    """Name the smallest file above the quality floor, and say how much smaller than the baseline it is.

    With types of the cache, say where one wins over another file.
    """
    setting = _setting(scope)
    if setting is not None:
        return cache_choice.headline(scope, setting.sound(scope.results))
    rows = sound(scope.results, one_place(_rows(scope)))
    if not rows:
        return "No selected variant has a perplexity and a size"
    floor, best = formats.percent(EVERYDAY, 0), _subject(rows)
    if best is None:
        return f"No file stays within {floor} of the baseline's perplexity (95 % bound)"
    saved = 1 - best["size_bytes"] / _baseline_size(scope, best)
    times = f", {formats.percent(saved, 0)} smaller than the baseline" if saved > 0 else ""
    return f"{best['label']} is the smallest within {floor} of the baseline's perplexity{times}"


def _subject(rows: Sequence[Row]) -> Row | None:
    """Return the file that the title names; None if no file is above the quality floor."""
    good = within(complete(one_place(rows), "ln_ppl_ratio"), EVERYDAY)
    return min(good, key=lambda row: (row["size_bytes"], row["variant_id"]), default=None)


def _baseline_size(scope: Scope, row: Row) -> int:
    return int(scope.baseline_of(row)["size_bytes"])


def insights(scope: Scope) -> list[Insight]:
    """Compare methods at equal size, efficiency with and without a quality floor, and compression.

    With types of the cache, compare those.
    """
    setting = _setting(scope)
    if setting is not None:
        return _of_caches(scope, setting)
    passing = _rows(scope)
    kept = one_place(passing)
    rows = sound(scope.results, kept)
    if not rows:
        return [NOTHING]
    candidates = [
        equal_size(scope, rows, "size"),
        above_floor(rows),
        highest(rows),
        wasted(scope, rows),
        compression(scope, rows),
        gap_insight(rows, scope.selection),
    ]
    lacking = undrawn(scope.rows, passing, "no perplexity was measured")
    return [*(insight for insight in candidates if insight is not None), *elsewhere(passing, kept), *lacking]


def _of_caches(scope: Scope, setting: Setting) -> list[Insight]:
    statements = cache_choice.statements(scope, setting.sound(scope.results))
    lacking = undrawn(scope.rows, setting.passing, "not run with types of the cache")
    return [*(statements or [NOTHING]), *elsewhere(setting.passing, setting.rows), *lacking]


def _data(scope: Scope) -> pl.DataFrame:
    return caches(scope) if _is_as_run(scope) else _SIZES(scope)


def _noted(scope: Scope) -> str:
    """Name the engine of losses as run, and say what a filter of tokens does not affect."""
    setting = _setting(scope)
    if setting is not None:
        engine = in_words(setting.rows[0]["engine"]) if setting.rows else ""
        return (
            f"Memory is {setting.counted}{_without(setting)}. Run in {engine}; {tokens_in_words(setting.rows)}."
            if engine
            else ""
        )
    return _FILTERED if scope.selection.filters_tokens else ""


def _without(setting: Setting) -> str:
    return "" if setting.needs else ", without the engine's buffers, which were not measured"


_FILTERED = "1/PPL and efficiency are over the filtered tokens; sizes are those of whole files."
_SIZES = variants_with("inv_ppl_per_mb", "ppl", "ln_ppl_ratio")
_AS_RUN = (
    "Memory that a file takes with so many tokens in the cache, against its loss as it runs with each type of cached "
    "keys and values. Lines join the points of one file; bars are 95 % intervals, clustered by window."
)
VIEW = View(
    id="size",
    tells=by_column("size_bytes"),
    number=5,
    tab="Size",
    title="Model size against 1/PPL",
    caption="",
    captions={
        _FILE: "Size of the file a user downloads against 1/PPL (higher is better). Bars: 95 % intervals of the "
        "distance from the baseline, paired and clustered by window. Dotted lines join points of equal "
        "efficiency, 1/PPL per MB (10⁶ bytes), written × 10⁻⁵: 3.2 means 0.000032.",
        **dict.fromkeys(_CONTEXTS, _AS_RUN),
        "kld": "The loss is the mean KL divergence from the baseline's exact weights.",
        "ppl": "The loss is the perplexity, drawn as 1/PPL (higher is better).",
    },
    titles=dict.fromkeys(_CONTEXTS, "Memory against loss, by type of the cache"),
    headline=headline,
    draw=figure,
    insights=insights,
    options=(_MEMORY, _LOSS),
    noted=_noted,
    data=_data,
    claims=claims_of("size"),
)
