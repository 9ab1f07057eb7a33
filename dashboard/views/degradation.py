"""Draw view 2: loss against the baseline, paired over the same tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dashboard.figures import axes, charts
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Labels, note_line
from dashboard.figures.log_scale import LogScale
from dashboard.insights import Insight, divergences
from dashboard.insights.bands import Band, bands, lowest
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, divergence, elsewhere, log_ratio
from dashboard.insights.faults import sound
from dashboard.insights.losses import against_noise, at_eight, at_four, blind_spot, by_domain
from dashboard.insights.noise import noise_floor
from dashboard.insights.picks import Telling, by_column
from dashboard.insights.undrawn import undrawn
from dashboard.insights.verdict import equal_size
from dashboard.results.exported import variants_with
from dashboard.results.rows import Row, by_method, complete, front_of, one_place
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate, slope
from dashboard.style import formats
from dashboard.style.theme import BASELINE
from dashboard.views import Option, View
from evaluator.metrics.estimation import student
from evaluator.results.manifest import NoiseFloor

_LOSS = Option("loss", "Loss", (("ppl", "perplexity"), ("kld", "KL divergence")))
_SHARES = (99.9, 99.5, 99, 98, 97, 95, 90, 80, 70, 60, 50, 40, 30, 20, 10, 5, 2, 1)
_MOST_SHARES = 7
#: Look of the noise floor: the effect of rounding the baseline's weights to bf16.
_BAND = {"fillcolor": BASELINE.color, "opacity": 0.14, "line": {"width": 0}, "layer": "below"}


def figure(scope: Scope) -> Drawing:
    """Draw a curve per method over bits: ln PPL ratio with the accuracy kept, or mean KLD on a log axis."""
    if _LOSS.of(scope.selection) == "kld":
        return _divergences(scope)
    return _ratios(scope)


def _ratios(scope: Scope) -> Drawing:
    rows = complete(scope.rows, "ln_ppl_ratio")
    if not rows:
        return charts.message_figure("No selected variant was compared with the baseline")
    losses = [log_ratio(row) for row in rows]
    ends = [end for loss in losses for end in (loss.low, loss.high) if math.isfinite(end)]
    y_range = axes.padded([0.0, *(loss.value for loss in losses), *ends], share=0.07)
    drawn = Drawing()
    drawn.add_shape(**charts.level_line(0))
    text, floor = "baseline", noise_floor(scope, rows)
    if floor is not None:
        reach = _floor_ratio(floor)
        drawn.add_band(-reach, reach, **_BAND)
        text += f"; noise floor ± {formats.number(reach, 1)} nats"
    _note(drawn, text, 0)
    _curves(drawn, scope, rows, losses, y_range)
    drawn.update_yaxes(title_text="ln(PPL / PPL of the baseline), nats per token", range=y_range)
    kept = _shares(y_range)
    drawn.add_scatter(x=[None], y=[None], yaxis="y2", showlegend=False, hoverinfo="skip")
    drawn.update_layout(
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "matches": "y",
            "range": y_range,
            "tickvals": [-math.log(share / 100) for share in kept],
            "ticktext": [f"{share:g} %" for share in kept],
            "title": {"text": "accuracy kept: PPL of the baseline / PPL"},
            "showgrid": False,
        },
        margin={"r": 73},
    )
    return drawn


def _shares(y_range: Sequence[float]) -> list[float]:
    """Return shares of accuracy for the right axis, far enough apart to read."""
    apart = (y_range[1] - y_range[0]) / (2 * _MOST_SHARES)
    chosen: list[float] = [100]
    for share in _SHARES:
        place = -math.log(share / 100)
        if place < y_range[1] and place + math.log(chosen[-1] / 100) >= apart:
            chosen.append(share)
    return chosen


def _divergences(scope: Scope) -> Drawing:
    rows = complete(scope.rows, "kld_mean")
    if not rows:
        return charts.message_figure("No selected variant was compared with the baseline")
    losses = [divergence(row) for row in rows]
    floor = noise_floor(scope, rows)
    least = [floor.kld_mean] if floor is not None and floor.kld_mean > 0 else []
    scale = LogScale.of([*(loss.value for loss in losses), *least])
    drawn = Drawing()
    if least:
        drawn.add_band(10 ** (scale.range[0] - 3), least[0], **_BAND)
        _note(drawn, "noise floor: the baseline rounded to bf16", math.log10(least[0]))
    _curves(drawn, scope, rows, losses, scale.range, scale)
    drawn.update_yaxes(title_text="mean KL divergence (nats per token, log scale)", **scale.axis)
    return drawn


def _floor_ratio(floor: NoiseFloor) -> float:
    """Return the upper end of the 95 % interval of the effect of rounding on ln PPL."""
    error = floor.ln_ppl_ratio_se
    return abs(floor.ln_ppl_ratio) + (error * student(floor.n_windows - 1) if error is not None else 0.0)


def _note(drawn: Drawing, text: str, height: float) -> None:
    place = {"x": 0.005, "xref": "paper", "xanchor": "left", "y": height, "yanchor": "top"}
    drawn.add_annotation(text=text, showarrow=False, **place)


def _curves(
    drawn: Drawing,
    scope: Scope,
    rows: Sequence[Row],
    losses: Sequence[Estimate],
    y_range: Sequence[float],
    scale: LogScale | None = None,
) -> None:
    """Draw a line per method with error bars; `scale` is the log axis of the mean KLD, if that is drawn."""
    of = {row["variant_id"]: loss for row, loss in zip(rows, losses, strict=True)}
    x_range = axes.bits_range([row["bits_per_weight"] for row in rows])
    bits, values = [row["bits_per_weight"] for row in rows], [loss.value for loss in losses]
    front = {rows[index]["variant_id"] for index in front_of(rows, bits, values)}
    heights = [scale.height(value) if scale is not None else value for value in values]
    all_curves = charts.series(scope.results, rows)
    curves = [scale.above(curve, "kld_mean") if scale is not None else curve for curve in all_curves]
    place = {
        row["variant_id"]: (row["bits_per_weight"], high) for row, high in zip(rows, heights, strict=True)
    }
    lines = [[place[row["variant_id"]] for row in curve.rows] for curve in curves]
    lines += [] if scale is not None else [[(x, 0.0) for x in x_range], note_line(0.0, (x_range, y_range))]
    labels = Labels(
        rows,
        list(zip(bits, heights, strict=True)),
        (x_range, y_range),
        front,
        scope.selection.picked,
        "bottom left",
        lines,
    )
    for curve in [curve for curve in curves if curve.rows]:
        mine = [of[row["variant_id"]] for row in curve.rows]
        bars: list[float] = [loss.half if loss.has_error else 0.0 for loss in mine]
        # A log axis cannot show a bar that reaches zero.
        under = [min(bar, 0.98 * loss.value) for bar, loss in zip(bars, mine, strict=True)]
        drawn.add_scatter(
            x=[row["bits_per_weight"] for row in curve.rows],
            y=[loss.value for loss in mine],
            error_y=charts.error_bars(curve.style, bars, None if scale is None else under),
            mode="lines+markers+text",
            line=charts.line(curve, scope.selection, rows),
            marker=curve.marker(),
            hovertext=[charts.quality_lines(row) for row in curve.rows],
            **labels.at(curve.rows),
            **charts.points(curve, scope.selection, rows),
        )
    if scale is not None:
        across = {row["variant_id"]: row["bits_per_weight"] for row in rows}
        hover = {row["variant_id"]: charts.quality_lines(row) for row in rows}
        scale.draw_rest(drawn, all_curves, "kld_mean", across, hover, labels, scope.selection)
    charts.add_places(drawn, curves)
    drawn.update_layout(showlegend=True)
    drawn.update_xaxes(title_text="bits per weight (measured)", range=x_range)


def headline(scope: Scope) -> str:
    """Write the accuracy kept at the smallest size that two methods have, or the factor of KLD per bit saved."""
    if _LOSS.of(scope.selection) == "ppl":
        rows = one_place(complete(scope.rows, "ln_ppl_ratio"))
        band = lowest(bands(scope, sound(scope.results, rows)))
        if band is not None:
            return _kept_at(band)
    return _cost_of_a_bit(scope)


def _kept_at(band: Band) -> str:
    """Write the accuracy kept by methods with files of equal size, closest by KLD first."""
    kept = {m: formats.percent(math.exp(-row["ln_ppl_ratio"]), 0) for m, row in band.files.items()}
    where = f"At {formats.size(band.size)} ({formats.bits(band.bits)})"
    others = [f"{method} {share}" for method, share in kept.items() if method != band.leader]
    if band.leader is None:
        listed = formats.listing([f"{method} {share}" for method, share in kept.items()])
        return f"{where} {formats.listing(band.first)} are tied; accuracy kept: {listed}"
    best = f"{band.leader} is closest: it keeps {kept[band.leader]} of the accuracy"
    return f"{where} {best}, {formats.listing(others)}"


def _cost_of_a_bit(scope: Scope) -> str:
    compared = complete(scope.rows, "kld_mean")
    rows = sound(scope.results, one_place(compared))
    if not rows:
        return "No selected variant was compared with the baseline"
    factors = _factors([row for row in rows if row["kld_mean"] > 0])
    values = [formats.number(value, 2) for value in sorted(math.exp(-f.value) for f in factors.values())]
    if factors and values[0] == values[-1]:
        method = f" ({next(iter(factors))})" if len(factors) == 1 else ", with every method"
        return f"Every bit saved multiplies the divergence by about {values[0]}{method}"
    if factors:
        span = f"{values[0]} to {values[-1]}"
        return f"Every bit saved multiplies the divergence by {span}, depending on the method"
    worst = max(rows, key=lambda row: (row["kld_mean"], row["variant_id"]))
    if worst["kld_mean"] <= 0:
        return "No selected variant diverges from the baseline"
    return f"{worst['label']} diverges most: {formats.number(worst['kld_mean'])} nats per token"


def _factors(rows: Sequence[Row]) -> dict[str, Estimate]:
    """Return the slope of ln KLD per bit for methods with at least three variants and a falling curve."""
    slopes = {}
    for method, group in by_method(rows).items():
        trend = slope([r["bits_per_weight"] for r in group], [math.log(r["kld_mean"]) for r in group])
        if trend is not None and trend.high < 0:
            slopes[method] = trend
    return slopes


def insights(scope: Scope) -> list[Insight]:
    """Describe methods at equal size, the noise floor, and losses that perplexity does not show.

    For perplexity also the cost at 8 and 4 bits and per text; for KLD the bound at 8 bits.
    """
    passing = complete(scope.rows, "ln_ppl_ratio", "kld_mean")
    kept = one_place(passing)
    rows = sound(scope.results, kept)
    if not rows:
        return [NOTHING]
    if _LOSS.of(scope.selection) == "kld":
        of_loss = [divergences.at_eight(rows)]
    else:
        of_loss = [at_four(rows), at_eight(rows), by_domain(scope, rows)]
    candidates = [
        equal_size(scope, rows),
        *of_loss,
        against_noise(rows, noise_floor(scope, rows)),
        blind_spot(rows),
    ]
    every = scope.rows
    column = "kld_mean" if _LOSS.of(scope.selection) == "kld" else "ln_ppl_ratio"
    lacking = undrawn(every, complete(every, column), "no loss against the baseline was measured")
    return [*(insight for insight in candidates if insight is not None), *elsewhere(passing, kept), *lacking]


def _tells(scope: Scope) -> Telling:
    """Tell a variant's loss, as the switch says."""
    return by_column("kld_mean" if _LOSS.of(scope.selection) == "kld" else "ln_ppl_ratio")(scope)


VIEW = View(
    id="degradation",
    tells=_tells,
    number=2,
    tab="Degradation",
    title="Degradation against the baseline",
    caption="Loss per token against the baseline over the same tokens, with 95 % intervals clustered by window. The "
    "grey band is the noise floor, the effect of rounding the baseline's weights to bf16; it is known for all tokens "
    "of one model only.",
    captions={
        "ppl": "The vertical axis is ln of the perplexity ratio.",
        "kld": "The vertical axis is the mean KL divergence over the whole vocabulary.",
    },
    headline=headline,
    draw=figure,
    insights=insights,
    data=variants_with("ppl", "ln_ppl_ratio", "kld_mean", "kld_median", "kld_p990", "kld_p999", "same_top"),
    options=(_LOSS,),
    claims=claims_of("degradation"),
)
