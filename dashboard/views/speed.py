"""Draw view 4: speed against closeness to the baseline."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from dashboard.figures import axes, charts, speed_marks
from dashboard.figures.curves import Curves, Spot, Told
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Box, shares
from dashboard.figures.run_hover import hover_of_runs
from dashboard.figures.run_loss import add_other_engine, add_run_loss
from dashboard.figures.scales import LogScale
from dashboard.insights import Insight
from dashboard.insights.claim_rules import Spread
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, divergence, elsewhere
from dashboard.insights.engine_gap import GAP, gap_insight, loss_as_run, unknown_gap
from dashboard.insights.engines_compared import compared, others, slowing
from dashboard.insights.faults import sound
from dashboard.insights.picks import Telling
from dashboard.insights.speed_titles import Race, race, title
from dashboard.insights.speeds import (
    PREFILL_RATE,
    TIME,
    bits_and_speed,
    four_bits,
    per_second,
    slowness,
    spread_of,
    tell_equal_speed,
    timed,
    timing,
)
from dashboard.insights.undrawn import undrawn
from dashboard.results.engines import as_run_by, columns_by_engine, in_words
from dashboard.results.exported import variants_with
from dashboard.results.results import Results
from dashboard.results.rows import Row, front_of, one_place, places_apart
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import pareto
from dashboard.style import formats
from dashboard.views import Absent, Option, View, command_for
from evaluator.results.files import SPEED
from evaluator.results.schema import FIRST_ENGINE

_PHASE = Option("phase", "Phase", (("decode", "decode"), ("prefill", "prefill")))
_ENGINES = Option(
    "engines",
    "Engines",
    (("one", "chosen"), ("both", "both")),
    lambda results: frozenset({"both"} if len(results.engines) == 1 else ()),
    # Of several models or devices, open points are those of the second.
    applies=lambda scope: not places_apart(scope.rows),
)


def _columns(selection: Selection) -> Spread:
    """Return the columns of the p10, median and p90 of the selected phase."""
    return spread_of(_PHASE.of(selection))


def _rows(scope: Scope) -> list[Row]:
    return timed(scope, _PHASE.of(scope.selection))


def _other_runs(scope: Scope, rows: Sequence[Row]) -> list[Row]:
    """Return the drawn files as run in the other engines, if both are to be drawn."""
    if not _ENGINES.applies(scope) or _ENGINES.offered(scope.results, scope.selection) == "one":
        return []
    ids = {row["variant_id"] for row in rows}
    found = (row for engine in others(scope) for row in _rows(scope.narrowed(engine=engine)))
    return [row for row in found if row["variant_id"] in ids]


def figure(scope: Scope) -> Drawing:
    """Draw time or rate (median, p10–p90) against mean KLD: a line per method, 4 to 5 bits shaded, the front."""
    rows = _rows(scope)
    if not rows:
        return charts.message_figure(f"No selected variant has a {_PHASE.of(scope.selection)} time")
    columns = low, middle, high = _columns(scope.selection)
    more = _other_runs(scope, rows)
    ends = [row[name] for row in (*rows, *more) for name in (low, middle, high) if row[name] is not None]
    heights = [height for row in (*rows, *more) for height in (row["kld_mean"], loss_as_run(row))]
    x_range, scale = axes.padded(ends, 0.05), LogScale.of(heights, margin=0.1)
    front = front_of(rows, [slowness(row, columns) for row in rows], [row["kld_mean"] for row in rows])
    spots = {row["variant_id"]: _spot(row, columns) for row in rows}
    curves = charts.series(scope.results, rows)
    hover = hover_of_runs(scope, rows)
    drawn = Drawing()
    found = _race(scope)
    taken = [speed_marks.note_corner(drawn), *_draw_claim(drawn, found, x_range)]
    speed_marks.shade_four(drawn, rows, middle, scale)
    add_run_loss(drawn, curves, scope.selection, rows, middle, scale, hollow=not more)
    if more:
        add_other_engine(drawn, scope, rows, more, middle, scale, hover)
    Curves(
        scope,
        rows,
        spots,
        x_range,
        scale,
        hover,
        front={rows[index]["variant_id"] for index in front},
        told=_told(found),
        size=10,
        lines=[shares(line, (x_range, scale.range)) for line in _whiskers(rows, more, middle, scale)],
        taken=taken,
    ).draw(drawn)
    drawn.update_xaxes(title_text=_title(scope, both=bool(more)), range=x_range)
    drawn.update_yaxes(title_text="mean KLD, nats per token (log scale)", **scale.axis)
    return drawn


def _spot(row: Row, columns: Spread) -> Spot:
    """Return a file's place with p10–p90 across, and the 95 % interval of the mean KLD."""
    low, middle, high = columns
    kld = divergence(row)
    half = kld.half if kld.has_error else 0.0
    return Spot(row[middle], kld.value, kld.value - half, kld.value + half, row[low], row[high])


def _whiskers(
    rows: Sequence[Row], more: Sequence[Row], middle: str, scale: LogScale
) -> list[list[tuple[float, float]]]:
    """Return the lines from files to their losses as run, and to the same files in another engine."""
    of = {row["variant_id"]: (row[middle], scale.height(row["kld_mean"])) for row in rows}
    lines = [[of[row["variant_id"]], (row[middle], scale.height(loss_as_run(row)))] for row in rows]
    return [*lines, *([of[row["variant_id"]], (row[middle], of[row["variant_id"]][1])] for row in more)]


def _title(scope: Scope, *, both: bool) -> str:
    where = "" if both else scope.in_engine
    return f"{_PHASE.of(scope.selection)} speed{where} (tokens/s, median; bars p10–p90)"


def _race(scope: Scope) -> Race | None:
    return race(scope, _rows(scope), _PHASE.of(scope.selection))


def _draw_claim(drawn: Drawing, found: Race | None, across: Sequence[float]) -> list[Box]:
    """Shade how much faster the file in the title is, or the spread within which it names no faster one."""
    if found is None:
        return []
    if found.ahead is not None:
        ends = [row[found.columns[1]] for row in (found.own, found.ahead)]
        return [speed_marks.shade(drawn, ends, across, f"{found.times} as fast")]
    if not found.level:
        return []
    low, middle, high = (found.own[name] for name in found.columns)
    return [speed_marks.shade(drawn, [low or middle, high or middle], across, f"p10–p90 of {found.role}")]


def _told(found: Race | None) -> Told:
    if found is None:
        return Told()
    return Told(
        str(found.named[0]["variant_id"]), {row["variant_id"]: found.rate(row) for row in found.named}
    )


def headline(scope: Scope) -> str:
    """Say what a faster file than the recommended one gains and loses, or that speed does not separate them."""
    found = _race(scope)
    return f"No selected variant was timed{scope.in_engine}" if found is None else title(scope, found)


def insights(scope: Scope) -> list[Insight]:
    """Describe the front, the engines, loss at equal speed, bits against speed, 4 bits, and the timing.

    All are about the shown phase in the chosen engine; equal speed and depths are told of decoding only.
    """
    passing, columns, phase = _rows(scope), _columns(scope.selection), _PHASE.of(scope.selection)
    kept = one_place(passing)
    rows = sound(scope.results, kept)
    if not rows:
        return [NOTHING]
    slow = [slowness(row, columns) for row in rows]
    front = [rows[i] for i in pareto(slow, [row["kld_mean"] for row in rows])]
    names = [row["label"] for row in sorted(front, key=lambda row: slowness(row, columns))]
    text = f"Worth running for {phase} speed{scope.in_engine}: {formats.listing(names, 5)}."
    candidates = [
        Insight(text, "finding", "no other selected variant is both faster and closer to the baseline"),
        *compared(scope, rows, phase),
        tell_equal_speed(scope, rows) if phase == "decode" else None,
        bits_and_speed(rows, phase, scope.in_engine),
        four_bits(rows, front),
        gap_insight(rows, scope.selection),
        slowing(scope, rows) if phase == "decode" else None,
        timing(scope, rows, phase),
    ]
    lacking = undrawn(scope.rows, passing, f"no {phase} time{scope.in_engine} or no divergence was measured")
    return [*(insight for insight in candidates if insight is not None), *elsewhere(passing, kept), *lacking]


def _absent(results: Results) -> Absent | None:
    timed = results.measured.select(pl.col("run_decode_ms_p50", "run_prefill_tps").is_not_null().any())
    if any(timed.row(0)):
        return None
    return Absent(
        f"decode, prefill and load times ({SPEED.name}); run without --no-speed",
        command_for(results),
    )


def _noted(scope: Scope) -> str:
    """Say what runs at the drawn speed, and how far it is from the baseline."""
    rows = _rows(scope)
    more = _other_runs(scope, rows)
    unknown = f"The loss that running adds is {unknown_gap(scope.selection)}."
    known = any(row[GAP] is not None for row in (*rows, *more))
    if more:
        chosen, other = in_words(scope.engine), formats.listing(list(map(in_words, others(scope))))
        lines = "Lines up to a dash lead to the loss of the file as run in each engine." if known else unknown
        return (
            f"Filled, with full lines: {chosen}; open, with dotted lines and without bars: {other}. The points of a "
            f"file are at one height, and joined if it is picked. {lines} Large and shaded: of the filled points."
        )
    packed = scope.engine == FIRST_ENGINE
    timed_as = "Timed is the model packed as ONNX." if packed else f"Timed {as_run_by(scope.engine)}."
    if not known:
        return f"{timed_as} {unknown}"
    if packed:
        return (
            f"{timed_as} A line up to a hollow marker adds the loss from packing: the model that runs at this speed "
            "is about that far from the baseline."
        )
    return f"{timed_as} A line leads to a hollow marker at the loss of the file as run there, {_measured_on(rows)}."


def _measured_on(rows: Sequence[Row]) -> str:
    """Say on which tokens the losses as run were measured."""
    some = [ran for row in rows if (ran := row["run_n_tokens"]) and ran < row["n_tokens"]]
    if not some:
        return "which was measured"
    return f"its own loss and what running changed on {formats.count(min(some))} tokens"


def _data(scope: Scope) -> pl.DataFrame:
    """Return the columns of the drawn engines."""
    both = _other_runs(scope, _rows(scope))
    drawn = scope.results.engines if both else (scope.engine,)
    names = (column.name for engine in drawn for column in columns_by_engine()[engine].values())
    return variants_with(*names, "kld_mean")(scope)


def _tells(scope: Scope) -> Telling:
    """Tell a variant's speed in the chosen phase and engine."""
    phase = _PHASE.of(scope.selection)

    def value(row: Row) -> str:
        rate = per_second(row[TIME]) if phase == "decode" else row[PREFILL_RATE[1]]
        return "" if rate is None else f"{formats.number(rate)} tokens/s"

    return Telling(f"{phase.capitalize()} speed", value)


VIEW = View(
    id="speed",
    tells=_tells,
    number=4,
    tab="Speed",
    title="Speed against loss",
    caption="Median speed with its p10–p90 range over repetitions, against the mean KL divergence of the file's "
    "weights from the baseline (95 % intervals, clustered by window). Lines join a method's files by bits. Large "
    "points: no file is both faster and closer. Shaded: 4 to 5 measured bits. Ringed: the first file in the title.",
    noted=_noted,
    unfiltered="The divergence is over the filtered tokens; the filter does not affect times.",
    headline=headline,
    draw=figure,
    insights=insights,
    data=_data,
    absent=_absent,
    options=(_PHASE, _ENGINES),
    claims=claims_of("speed"),
)
