"""Draw view 4: speed against closeness to the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from dashboard.figures import axes, charts
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Labels
from dashboard.figures.log_scale import LogScale
from dashboard.figures.packing import add_packing, packed_loss
from dashboard.insights import Insight
from dashboard.insights.claim_rules import DECODE_TIME, Spread, overlap
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, divergence, elsewhere
from dashboard.insights.engine_gap import GAP, gap_insight, unknown_gap
from dashboard.insights.faults import sound
from dashboard.insights.speeds import bits_and_speed, four_bits, of_four_bits, tell_equal_speed, timing
from dashboard.insights.undrawn import undrawn
from dashboard.results.exported import variants_with
from dashboard.results.results import Results
from dashboard.results.rows import Row, complete, front_of, one_place
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import pareto
from dashboard.style import formats
from dashboard.style.names import in_figure
from dashboard.style.theme import HIGHLIGHT, QUIET
from dashboard.views import Absent, Option, View, command_for
from evaluator.results.files import SPEED

_PHASE = Option("phase", "Phase", (("decode", "decode"), ("prefill", "prefill")))
_PREFILL: Spread = ("prefill_p10", "prefill_tps", "prefill_p90")


def _columns(selection: Selection) -> Spread:
    """Return the columns of the p10, median and p90 of the selected phase."""
    return DECODE_TIME if _PHASE.of(selection) == "decode" else _PREFILL


def _slowness(row: Row, columns: Spread) -> float:
    """Return a value that grows from fast to slow: the time per token, or the negative rate."""
    value = float(row[columns[1]])
    return value if columns == DECODE_TIME else -value


def _rows(scope: Scope) -> list[Row]:
    """Return timed and compared variants; for prefill with p10 and p90 over repetitions."""
    frame = scope.frame
    if _PHASE.of(scope.selection) == "prefill":
        frame = frame.join(_prefill_ends(scope.results), on="variant_id", how="left")
    return complete(frame.to_dicts(), _columns(scope.selection)[1], "kld_mean")


def _prefill_ends(results: Results) -> pl.DataFrame:
    speed = results.speed(results.engines[0])
    if speed is None:
        return pl.DataFrame(
            schema={"variant_id": pl.String, "prefill_p10": pl.Float64, "prefill_p90": pl.Float64}
        )
    rate = pl.col("tokens") / pl.col("seconds")
    ends = [rate.quantile(q, "linear").alias(f"prefill_p{round(100 * q)}") for q in (0.1, 0.9)]
    prefill = speed.filter(pl.col("phase").cast(pl.String) == "prefill", pl.col("seconds") > 0)
    return prefill.group_by("variant_id").agg(ends)


def figure(scope: Scope) -> Drawing:
    """Draw time or rate (median, p10–p90) against mean KLD, with rings at 4 to 5 bits and the Pareto front."""
    rows = _rows(scope)
    if not rows:
        return charts.message_figure(f"No selected variant has a {_PHASE.of(scope.selection)} time")
    low, middle, high = _columns(scope.selection)
    decode = middle == DECODE_TIME[1]
    x = [row[middle] for row in rows]
    ends = [row[name] for row in rows for name in (low, middle, high) if row[name] is not None]
    heights = [height for row in rows for height in (row["kld_mean"], packed_loss(row))]
    x_range, scale = axes.padded(ends, 0.05), LogScale.of(heights, margin=0.1)
    slowness = [_slowness(row, (low, middle, high)) for row in rows]
    front = front_of(rows, slowness, [row["kld_mean"] for row in rows])
    wanted = {rows[index]["variant_id"] for index in front}
    points = [(value, scale.height(row["kld_mean"])) for value, row in zip(x, rows, strict=True)]
    whiskers = [
        [point, (point[0], scale.height(packed_loss(row)))] for point, row in zip(points, rows, strict=True)
    ]
    labels = Labels(
        rows,
        points,
        (x_range, scale.range),
        wanted,
        scope.selection.picked | {str(_by_speed(rows, (low, middle, high))[0]["variant_id"])},
        "bottom left" if decode else "bottom right",
        whiskers,
    )
    drawn = Drawing()
    steps = ([x[i] for i in front], [scale.place(rows[i]["kld_mean"]) for i in front])
    charts.add_front(drawn, rows, *steps, "hv" if decode else "vh")
    _ring_four(drawn, rows, middle, scale)
    curves = charts.series(scope.results, rows)
    add_packing(drawn, curves, scope.selection, rows, middle, scale)
    hover = {row["variant_id"]: _hover(row, scope.selection) for row in rows}
    for curve in [above for curve in curves if (above := scale.above(curve, "kld_mean")).rows]:
        drawn.add_scatter(
            x=[row[middle] for row in curve.rows],
            y=[row["kld_mean"] for row in curve.rows],
            mode="markers+text",
            marker=curve.marker(10),
            hovertext=[hover[row["variant_id"]] for row in curve.rows],
            **_bars(curve, (low, middle, high)),
            **labels.at(curve.rows),
            **charts.points(curve, scope.selection, rows),
        )
    times = {row["variant_id"]: row[middle] for row in rows}
    scale.draw_rest(drawn, curves, "kld_mean", times, hover, labels, scope.selection)
    charts.add_places(drawn, curves)
    drawn.update_layout(showlegend=True)
    drawn.update_xaxes(title_text=_title(decode), range=x_range)
    drawn.update_yaxes(title_text="mean KL divergence (nats per token, log scale)", **scale.axis)
    better = {"x": 0.01 if decode else 0.99, "xanchor": "left" if decode else "right"}
    better["text"] = "↙ faster and closer" if decode else "faster and closer ↘"
    drawn.add_annotation(showarrow=False, xref="paper", yref="paper", y=0.01, yanchor="bottom", **better)
    return drawn


def _title(decode: bool) -> str:
    if decode:
        return "decode time per token (ms, median; bars p10–p90)"
    return "prefill speed (tokens per second, median; bars p10–p90)"


def _ring_four(drawn: Drawing, rows: Sequence[Row], column: str, scale: LogScale) -> None:
    four = of_four_bits(rows)
    if not four:
        return
    drawn.add_scatter(
        x=[row[column] for row in four],
        y=[scale.place(row["kld_mean"]) for row in four],
        mode="markers",
        marker={"size": 22, "color": HIGHLIGHT, "line": {"width": 1.2, "color": QUIET}},
        name="4 to 5 bits",
        hoverinfo="skip",
    )


def _bars(curve: charts.Series, columns: Spread) -> dict[str, Any]:
    """Return error bars: p10–p90 across, the 95 % interval of the mean KLD up and down."""
    low, middle, high = columns
    ahead = [max(0.0, (row[high] or row[middle]) - row[middle]) for row in curve.rows]
    behind = [max(0.0, row[middle] - (row[low] or row[middle])) for row in curve.rows]
    kld = [divergence(row) for row in curve.rows]
    upper = [e.half if e.has_error else 0.0 for e in kld]
    lower = [min(bar, 0.98 * e.value) for bar, e in zip(upper, kld, strict=True)]
    return {
        "error_x": charts.error_bars(curve.style, ahead, behind),
        "error_y": charts.error_bars(curve.style, upper, lower),
    }


def _hover(row: Row, selection: Selection) -> str:
    return f"{charts.quality_lines(row)}<br>{_speed_lines(row, selection)}"


def _speed_lines(row: Row, selection: Selection) -> str:
    lines = []
    if row["decode_ms_p50"] is not None:
        lines.append(f"decode {formats.number(row['decode_ms_p50'])} ms per token")
        if row["decode_ms_p10"] is not None and row["decode_ms_p90"] is not None:
            ends = f"{formats.number(row['decode_ms_p10'])}–{formats.number(row['decode_ms_p90'])}"
            lines[0] += f" (p10–p90 {ends})"
    if row["prefill_tps"] is not None:
        lines.append(f"prefill {formats.number(row['prefill_tps'])} tokens/s")
    if row["load_s"] is not None:
        lines.append(f"load {formats.number(row['load_s'])} s")
    if row[GAP] is not None:
        lines.append(f"packing adds {formats.number(row[GAP], 2)} nats to the file's own loss")
    else:
        lines.append(f"loss added by packing: {unknown_gap(selection)}")
    return "<br>".join([*lines, in_figure(formats.device_name(row["device"]))])


def _by_speed(rows: Sequence[Row], columns: Spread) -> list[Row]:
    """Return the rows of one model on one device, fastest first; the title names the first."""
    return sorted(one_place(rows), key=lambda row: (_slowness(row, columns), str(row["variant_id"])))


def headline(scope: Scope) -> str:
    """Name the fastest variant, and count the others within its spread."""
    columns = _columns(scope.selection)
    rows = _by_speed(sound(scope.results, _rows(scope)), columns)
    if not rows:
        return "No selected variant was timed"
    fastest = rows[0]
    pairs = [(fastest, row) if columns == DECODE_TIME else (row, fastest) for row in rows[1:]]
    tied = sum(overlap(lower, higher, columns) for lower, higher in pairs)
    value = formats.number(fastest[columns[1]])
    rate = f"decodes fastest, {value} ms per token"
    if columns == _PREFILL:
        rate = f"prefills fastest, {value} tokens per second"
    speed = f"{fastest['label']} {rate}"
    more = "one more is" if tied == 1 else f"{tied} more are"
    return f"{speed}; {more} within its spread" if tied else speed


def insights(scope: Scope) -> list[Insight]:
    """Describe the front, accuracy at equal speed, bits against speed, 4 bits, and the timing.

    All are about the shown phase; equal speed is compared for decoding only.
    """
    passing, columns, phase = _rows(scope), _columns(scope.selection), _PHASE.of(scope.selection)
    kept = one_place(passing)
    rows = sound(scope.results, kept)
    if not rows:
        return [NOTHING]
    slowness = [_slowness(row, columns) for row in rows]
    front = [rows[i] for i in pareto(slowness, [row["kld_mean"] for row in rows])]
    names = [row["label"] for row in sorted(front, key=lambda row: _slowness(row, columns))]
    text = f"Worth running for {phase} speed: {formats.listing(names, 5)}."
    candidates = [
        Insight(text, "finding", "no other selected variant is both faster and closer to the baseline"),
        tell_equal_speed(scope, rows) if columns == DECODE_TIME else None,
        bits_and_speed(rows, slowness, phase),
        four_bits(rows, front),
        gap_insight(rows, scope.selection),
        timing(scope.results, rows, phase),
    ]
    lacking = undrawn(scope.rows, passing, f"no {phase} time or no divergence was measured")
    return [*(insight for insight in candidates if insight is not None), *elsewhere(passing, kept), *lacking]


def _absent(results: Results) -> Absent | None:
    timed = results.measured.select(pl.col("decode_ms_p50", "prefill_tps").is_not_null().any())
    if any(timed.row(0)):
        return None
    return Absent(
        f"decode, prefill and load times of the packed models ({SPEED.name}); run without --no-speed",
        command_for(results),
    )


_TIMED = ("prefill_tps", "decode_ms_p10", "decode_ms_p50", "decode_ms_p90", "load_s", "peak_rss_bytes")
VIEW = View(
    id="speed",
    number=4,
    tab="Speed",
    title="Speed against accuracy",
    caption="Median speed of the model packed as ONNX with its p10–p90 range over repetitions, against the mean KL "
    "divergence of the file's weights from the baseline (95 % intervals, clustered by window). A line up to a hollow "
    "marker adds the loss from packing: the model that runs at this speed is about that far from the baseline. "
    "Rings mark variants of 4 to 5 measured bits.",
    unfiltered="The divergence is over the filtered tokens; the filter does not affect times.",
    headline=headline,
    draw=figure,
    insights=insights,
    data=variants_with(*_TIMED, "kld_mean", GAP),
    absent=_absent,
    options=(_PHASE,),
    claims=claims_of("speed"),
)
