"""Draw view 5: file size against 1/PPL and quality per megabyte, or memory as run against loss as run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from dashboard.figures import axes, charts, memory_loss
from dashboard.figures.curves import Curves, Spot, Told
from dashboard.figures.distance import Distances, inverse_lost
from dashboard.figures.drawing import Drawing
from dashboard.figures.efficiency_lines import add_efficiency_lines
from dashboard.figures.levels import Level, baseline_levels
from dashboard.figures.line_names import with_room
from dashboard.figures.scales import LinearScale, LogScale, Scale
from dashboard.insights import Insight, cache_choice
from dashboard.insights.cache_choice import Setting
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.efficiency import above_floor, compression, efficiency, highest, wasted
from dashboard.insights.engine_gap import gap_insight, packing_adds
from dashboard.insights.faults import sound
from dashboard.insights.picks import by_column
from dashboard.insights.recommender import EVERYDAY, smallest_within
from dashboard.insights.undrawn import undrawn
from dashboard.insights.verdict import equal_size
from dashboard.results.cache_types import tokens_in_words
from dashboard.results.engines import in_words
from dashboard.results.exported import caches, variants_with
from dashboard.results.results import Results
from dashboard.results.rows import SAME_BYTES, Row, complete, front_of, one_place, ppl_ends
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.views import Option, View
from evaluator.support.units import MEGABYTE

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
_Y = Option(
    "accuracy",
    "1/PPL",
    (("distance", "below the baseline"), ("level", "as measured")),
    applies=lambda scope: not _is_as_run(scope),
)
_VERTICAL = {True: "1/PPL below the baseline's (%, log scale)", False: "1 / perplexity"}
_SMALLER = " smaller"
_LIMIT = "3 % more perplexity"
_LOSS = Option("as_run", "Loss", (("kld", "KLD"), ("ppl", "1/PPL")), applies=_is_as_run)


def _setting(scope: Scope) -> Setting | None:
    """Return what is compared with types of the cache; None for files alone."""
    if not _is_as_run(scope):
        return None
    context = _CONTEXTS[_MEMORY.of(scope.selection)]
    return Setting.of(scope, _LOSS.of(scope.selection), context)


def _rows(scope: Scope) -> list[Row]:
    needed = ("ppl", "inv_ppl_per_mb", *(("ln_ppl_ratio",) if _is_distance(scope) else ()))
    rows = complete(scope.rows, *needed)
    return [r for r in rows if r["ppl"] > 0 and r["inv_ppl_per_mb"] > 0]


def figure(scope: Scope) -> Drawing:
    """Draw files alone, or memory against loss with each type of the cache."""
    setting = _setting(scope)
    return _files(scope) if setting is None else memory_loss.draw(scope, setting)


def _files(scope: Scope) -> Drawing:
    """Draw size against 1/PPL with errors: its distance from the baseline on a log axis, or as it is."""
    rows = _rows(scope)
    if not rows:
        return charts.message_figure("No selected variant has a perplexity and a size")
    drawn, far = Drawing(), _is_distance(scope)
    unit, _ = axes.byte_unit([row["size_bytes"] for row in rows])
    x = [row["size_bytes"] / unit for row in rows]
    x_range = with_room(axes.padded(x, 0.08), rows)
    x_range[0] = max(0.0, x_range[0])
    distances, scale = Distances.of_perplexity(scope, rows, inverse_lost), _scale(scope, rows)
    spots = {
        row["variant_id"]: distances.spot(row, across)
        if far
        else Spot(across, 1 / row["ppl"], *(1 / end for end in ppl_ends(row)[::-1]))
        for row, across in zip(rows, x, strict=True)
    }
    distances.draw_floor(drawn, scale)
    ranges = (x_range, scale.range)
    taken, lines = ([], []) if far else add_efficiency_lines(drawn, rows, unit / MEGABYTE, ranges)
    front = front_of(rows, x, [row["ppl"] for row in rows], SAME_BYTES)
    Curves(
        scope,
        rows,
        spots,
        x_range,
        scale,
        hover={row["variant_id"]: _hover(scope, row) for row in rows},
        front={rows[index]["variant_id"] for index in front},
        told=_told(scope),
        size=10,
        lines=lines,
        taken=taken,
        levels=_levels(scope, rows),
        notes_above=True,
    ).draw(drawn)
    drawn.update_xaxes(title_text=axes.size_title([row["size_bytes"] for row in rows]), range=x_range)
    drawn.update_yaxes(title_text=_VERTICAL[far], **scale.axis, **({} if far else {"tickformat": ".3~g"}))
    return drawn


def _hover(scope: Scope, row: Row) -> str:
    return f"{charts.quality_lines(row)}<br>{efficiency(row)}<br>{packing_adds(row, scope.selection)}"


def _is_distance(scope: Scope) -> bool:
    return _Y.of(scope.selection) == "distance"


def _scale(scope: Scope, rows: Sequence[Row]) -> Scale:
    """Fit the vertical axis, on which higher is better, to points, intervals and levels."""
    marked = [level.value for level in _levels(scope, rows)]
    if _is_distance(scope):
        return Distances.of_perplexity(scope, rows, inverse_lost).scale(marked, is_reversed=True)
    low, high = axes.padded([*(1 / end for row in rows for end in ppl_ends(row)), *marked], 0.05)
    return LinearScale([max(0.0, low), high])


def _levels(scope: Scope, rows: Sequence[Row]) -> list[Level]:
    """Return the limit that the title is about, and the baselines on an axis of 1/PPL."""
    kept = 1 / (1 + EVERYDAY)
    if _is_distance(scope):
        return [Level(100 * (1 - kept), _LIMIT, is_limit=True)]
    bases = baseline_levels(scope, rows, inverse=True)
    limits = [Level(base.value * kept, _LIMIT, is_limit=True) for base in bases] if len(bases) == 1 else []
    return [*bases, *limits]


def _told(scope: Scope) -> Told:
    subject = _subject(scope)
    if subject is None:
        return Told()
    own = str(subject[0]["variant_id"])
    return Told(own, {own: _value_told(scope, *subject)})


def headline(scope: Scope) -> str:
    """Name the smallest file above the quality floor, and say how much smaller than the baseline it is.

    With types of the cache, say where one wins over another file.
    """
    setting = _setting(scope)
    if setting is not None:
        return cache_choice.headline(scope, setting.sound(scope.results))
    subject = _subject(scope)
    if subject is None:
        return "No selected variant has a perplexity and a size"
    (row, good), floor, value = subject, formats.percent(EVERYDAY, 0), _value_told(scope, *subject)
    if not good:
        nearest = f"nearest: {row['label']}, {value}"
        return f"No file stays within {floor} of the baseline's perplexity (95 % bound); {nearest}"
    size = f"{value} than the baseline" if value.endswith(_SMALLER) else value
    return f"{row['label']} is the smallest within {floor} of the baseline's perplexity, {size}"


def _subject(scope: Scope) -> tuple[Row, bool] | None:
    """Return the file that the title names, and whether it is above the quality floor; None without files."""
    rows = complete(sound(scope.results, one_place(_rows(scope))), "ln_ppl_ratio")
    best = smallest_within(rows, EVERYDAY)
    if best is not None:
        return best, True
    nearest = min(rows, key=lambda row: (row["ln_ppl_ratio"], row["variant_id"]), default=None)
    return None if nearest is None else (nearest, False)


def _value_told(scope: Scope, row: Row, good: bool) -> str:
    """Return what the title says of its file: how much smaller than the baseline, or its rise of perplexity."""
    if not good:
        return formats.percent_change(row["ln_ppl_ratio"], 1)
    saved = 1 - row["size_bytes"] / int(scope.baseline_of(row)["size_bytes"])
    return f"{formats.percent(saved, 0)}{_SMALLER}" if saved > 0 else formats.size(row["size_bytes"])


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
        above_floor(scope, rows),
        highest(scope, rows),
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
    told = [_FILTERED if scope.selection.filters_tokens else "", _ringed(scope)]
    rows = _rows(scope)
    scale = _scale(scope, rows) if rows else None
    if isinstance(scale, LogScale):
        told.append(Distances.of_perplexity(scope, rows, inverse_lost).in_words(scale))
    return " ".join(filter(None, told))


def _ringed(scope: Scope) -> str:
    return "Ringed: the file in the title." if _subject(scope) is not None else ""


def _without(setting: Setting) -> str:
    return "" if setting.needs else ", without the engine's buffers, which were not measured"


_FILTERED = "1/PPL and efficiency are over the filtered tokens; sizes are those of whole files."
_SIZES = variants_with("inv_ppl_per_mb", "ppl", "ln_ppl_ratio")
_AS_RUN = (
    "Memory that a file takes with so many tokens in the cache, against its loss as it runs with each type of cached "
    "keys and values. Lines join the points of one file; bars are 95 % intervals, clustered by window. Faint points: "
    "another one takes no more memory and loses less."
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
        "distance from the baseline, paired and clustered by window. Large points: no smaller file has a higher "
        "1/PPL.",
        "distance": "The vertical axis is how far 1/PPL is below the baseline's.",
        "level": "Dotted lines join points of equal efficiency, 1/PPL per MB (10⁶ bytes), written × 10⁻⁵: 3.2 means "
        "0.000032.",
        **dict.fromkeys(_CONTEXTS, _AS_RUN),
        "kld": "The loss is the mean KL divergence from the baseline's exact weights.",
        "ppl": "The loss is the perplexity, drawn as 1/PPL (higher is better).",
    },
    titles=dict.fromkeys(_CONTEXTS, "Memory against loss, by type of the cache"),
    headline=headline,
    draw=figure,
    insights=insights,
    options=(_MEMORY, _Y, _LOSS),
    noted=_noted,
    data=_data,
    claims=claims_of("size"),
)
