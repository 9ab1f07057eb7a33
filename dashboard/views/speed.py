"""Draw view 4: speed against closeness to the baseline."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from dashboard.figures import charts
from dashboard.figures.drawing import Drawing
from dashboard.figures.speed_loss import SpeedLoss
from dashboard.insights import Insight
from dashboard.insights.claim_rules import Spread
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.engine_gap import RUN_LOSS, gap_insight
from dashboard.insights.engines_compared import compared, others, slowing
from dashboard.insights.faults import sound
from dashboard.insights.picks import Telling
from dashboard.insights.runs_drawn import runs_in_words
from dashboard.insights.speed_order import PREFILL_RATE, bars_of, per_second, spread_of, with_rates
from dashboard.insights.speed_titles import Race, race, title, worth_running
from dashboard.insights.speeds import (
    TIME,
    bits_and_speed,
    four_bits,
    slowness,
    tell_equal_speed,
    timed,
    timing,
)
from dashboard.insights.undrawn import undrawn
from dashboard.results.engines import columns_by_engine
from dashboard.results.exported import variants_with
from dashboard.results.results import Results
from dashboard.results.rows import Row, complete, one_place, places_apart
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import pareto
from dashboard.style import formats
from dashboard.views import Absent, Option, View, command_for
from evaluator.results.files import SPEED

_PHASE = Option("phase", "Phase", (("decode", "decode"), ("prefill", "prefill")))
_ENGINES = Option(
    "engines",
    "Engines",
    (("one", "chosen"), ("both", "both")),
    lambda results: frozenset({"both"} if len(results.engines) == 1 else ()),
    # Of several models or devices, open points are those of the second.
    applies=lambda scope: not places_apart(scope.rows),
)


_LABELLED = "Labelled, with bars: the Pareto front, picked files and those in the title."
_REACH = "Grey lines: from other files right of the shaded range down to the lower end of their range."


def _columns(selection: Selection) -> Spread:
    """Return the columns of the lower end, the median and the upper end of the selected phase."""
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


def _plot(scope: Scope) -> SpeedLoss:
    def compute() -> SpeedLoss:
        rows = _rows(scope)
        return SpeedLoss(scope, rows, _other_runs(scope, rows), _columns(scope.selection), _race(scope))

    return scope.once("speed plot", compute)


def figure(scope: Scope) -> Drawing:
    """Draw the speed in the selected phase against mean KLD."""
    plot, phase = _plot(scope), _PHASE.of(scope.selection)
    if not plot.rows:
        return charts.message_figure(_nothing(scope))
    drawn = plot.draw()
    where = "" if plot.more else scope.in_engine
    bars = bars_of(scope.results, plot.rows, phase)
    title, unit = f"{phase} speed{where}", f"(tokens/s, median; bars {bars})"
    drawn.update_xaxes(title_text=f"{title} {unit}")
    drawn.update_narrow(xaxis={"title": {"text": f"{title}<br>{unit}"}})
    return drawn


def _race(scope: Scope) -> Race | None:
    return scope.once("speed race", lambda: race(scope, _rows(scope), _PHASE.of(scope.selection)))


def headline(scope: Scope) -> str:
    """Say what a faster file than the recommended one gains and loses, or that speed does not separate them."""
    found = _race(scope)
    return _nothing(scope) if found is None else title(scope, found)


def _nothing(scope: Scope) -> str:
    """Say what all selected variants lack: soundness, the time in the shown phase, or the divergence."""
    phase = _PHASE.of(scope.selection)
    if _rows(scope):
        return "Every selected variant looks broken"
    if not complete(with_rates(scope.results, scope.rows, phase), _columns(scope.selection)[1]):
        return f"No selected variant has a {phase} time{scope.in_engine}"
    over = " over the filtered tokens" if scope.selection.filters_tokens else ""
    return f"No selected variant with a {phase} time{scope.in_engine} has a mean KLD{over}"


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
    found = _race(scope)
    by_speed = sorted(front, key=lambda row: slowness(row, columns))
    candidates = [
        worth_running(scope, found, by_speed) if found is not None else None,
        *compared(scope, rows, phase),
        tell_equal_speed(scope, rows) if phase == "decode" else None,
        bits_and_speed(scope, rows, phase),
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
    """Say which files of many are labelled, what runs at the drawn speed, and how far it is from the baseline."""
    plot = _plot(scope)
    is_crowded = plot.vivid is not None
    labelled, reach = _LABELLED if is_crowded else "", _REACH if plot.beyond else ""
    picking = charts.is_picking(scope.selection, plot.rows)
    runs = runs_in_words(scope, plot.rows, plot.more, is_crowded=is_crowded, picking=picking)
    return " ".join(filter(None, [labelled, reach, runs]))


def _data(scope: Scope) -> pl.DataFrame:
    """Return the columns of the drawn engines, and the loss as run in the chosen one, over all tokens."""
    both = _other_runs(scope, _rows(scope))
    drawn = scope.results.engines if both else (scope.engine,)
    names = (column.name for engine in drawn for column in columns_by_engine()[engine].values())
    as_run = scope.frame.select("variant_id", RUN_LOSS)
    return variants_with(*names, "kld_mean")(scope).join(as_run, on="variant_id", how="left")


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
    caption="Median speed, with the 95 % interval of rounds in which the files were timed in turn (else p10–p90 of "
    "repetitions), against the mean KL divergence of the file's weights from the baseline (95 % intervals, clustered "
    "by window). Lines join a method's files by bits. Large "
    "points: no file is both faster and closer. Ringed: the first file in the title.",
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
