"""Draw view 2: loss against the baseline, paired over the same tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.figures import axes, charts
from dashboard.figures.curves import Curves, Told
from dashboard.figures.distance import Distances
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Box, Point, shares
from dashboard.figures.levels import add_note
from dashboard.figures.line_names import with_room
from dashboard.figures.scales import LogScale
from dashboard.insights import Insight, divergences, loss_titles
from dashboard.insights.bands import Band, bands, fullest
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, divergence, elsewhere
from dashboard.insights.faults import sound
from dashboard.insights.loss_titles import Fit, fits, ppl_share
from dashboard.insights.losses import against_noise, at_eight, at_four, blind_spot, by_domain
from dashboard.insights.noise import least_divergence, noise_floor
from dashboard.insights.picks import Telling, by_column
from dashboard.insights.undrawn import undrawn
from dashboard.insights.verdict import equal_size
from dashboard.results.exported import variants_with
from dashboard.results.rows import SAME_BYTES, Row, complete, front_of, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.style.columns import PPL_SHARE
from dashboard.style.theme import BASELINE, translucent
from dashboard.views import Option, View

_LOSS = Option("loss", "Loss", (("ppl", "perplexity"), ("kld", "KL divergence")))
_COLUMNS = {"ppl": "ln_ppl_ratio", "kld": "kld_mean"}
_VERTICAL = {
    "ppl": "ln(PPL / baseline's PPL), nats (log scale)",
    "kld": "mean KLD, nats per token (log scale)",
}
#: Shares in per cent for the right axis, and its most ticks.
_SHARES = (99.99, 99.95, 99.9, 99.5, 99, 98, 95, 90, 80, 70, 60, 50, 30, 10, 1)
_MOST_SHARES = 12


@dataclass(frozen=True)
class _Drawn:
    """What is drawn of one loss: the files and their losses."""

    rows: list[Row]
    distances: Distances

    @classmethod
    def of(cls, scope: Scope) -> _Drawn:
        if _LOSS.of(scope.selection) == "ppl":
            rows = complete(scope.rows, "ln_ppl_ratio")
            return cls(rows, Distances.of_perplexity(scope, rows))
        rows = complete(scope.rows, "kld_mean")
        estimates = {row["variant_id"]: divergence(row) for row in rows}
        return cls(rows, Distances(estimates, least_divergence(scope, rows)))


def figure(scope: Scope) -> Drawing:
    """Draw a curve per method over bits: ln PPL ratio with its share in per cent, or mean KLD, on a log axis."""
    shown, told = _Drawn.of(scope), _told(scope)
    rows, distances = shown.rows, shown.distances
    if not rows:
        return charts.message_figure("No selected variant was compared with the baseline")
    bits = [row["bits_per_weight"] for row in rows]
    x_range, scale = with_room(axes.bits_range(bits), rows, told.endings), distances.scale()
    front = front_of(rows, bits, [distances.of[row["variant_id"]].value for row in rows], SAME_BYTES)
    drawn = Drawing()
    distances.draw_floor(drawn, scale)
    taken, lines = _draw_claim(drawn, scope, scale, x_range)
    Curves(
        scope,
        rows,
        {row["variant_id"]: distances.spot(row, across) for row, across in zip(rows, bits, strict=True)},
        x_range,
        scale,
        hover={row["variant_id"]: charts.quality_lines(row) for row in rows},
        front={rows[index]["variant_id"] for index in front},
        told=told,
        lines=lines,
        taken=taken,
    ).draw(drawn)
    drawn.update_xaxes(title_text="bits per weight (measured)", range=x_range)
    drawn.update_yaxes(title_text=_VERTICAL[_LOSS.of(scope.selection)], **scale.axis)
    if _LOSS.of(scope.selection) == "ppl":
        _add_shares(drawn, scale.range)
    return drawn


def _add_shares(drawn: Drawing, y_range: Sequence[float]) -> None:
    """Add an axis at the right with the PPL of the baseline / PPL."""
    chosen = _shares(y_range)
    drawn.add_scatter(x=[None], y=[None], yaxis="y2", showlegend=False, hoverinfo="skip")
    drawn.update_layout(
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "matches": "y",
            "type": "log",
            "range": y_range,
            "tickvals": [-math.log(share / 100) for share in chosen],
            "ticktext": [f"{share:g} %" for share in chosen],
            "title": {"text": PPL_SHARE},
            "showgrid": False,
        },
        margin={"r": 73},
    )


def _shares(y_range: Sequence[float]) -> list[float]:
    """Return shares in per cent for the right axis, far enough apart to read; `y_range` is in decades."""
    low, high = y_range
    chosen: list[float] = []
    last = -math.inf
    for share in _SHARES:
        place = math.log10(-math.log(share / 100))
        if low <= place <= high and place - last >= (high - low) / _MOST_SHARES:
            chosen.append(share)
            last = place
    return chosen


def _draw_claim(
    drawn: Drawing, scope: Scope, scale: LogScale, across: Sequence[float]
) -> tuple[list[Box], list[list[Point]]]:
    """Mark the size at which the title compares methods, or draw the fits whose slopes it gives.

    Return the note's box and the lines, in shares of the plot.
    """
    ranges = (across, scale.range)
    band = _band(scope)
    if band is not None:
        at = {"x0": band.bits, "x1": band.bits, "yref": "y domain", "y0": 0, "y1": 1}
        drawn.add_shape(type="line", **at, line={"color": BASELINE.color, "dash": "dot", "width": 1.5})
        note = add_note(drawn, across, band.bits, loss_titles.size_of(band), at_top=False)
        return [note], [shares([(band.bits, end) for end in scale.range], ranges)]
    styles = scope.results.styles
    lines = []
    for method, fit in _fits(scope).items():
        ends = [row["bits_per_weight"] for row in (fit.rows[0], fit.rows[-1])]
        heights = [max(fit.at(bits), 10 ** scale.range[0]) for bits in ends]
        drawn.add_scatter(
            x=ends,
            y=heights,
            mode="lines",
            line={"color": translucent(styles[fit.rows[0]["method"]].color, 0.5), "width": 1, "dash": "dot"},
            showlegend=False,
            hoverinfo="skip",
            meta={"fit": method},
        )
        lines.append(shares(list(zip(ends, map(math.log10, heights), strict=True)), ranges))
    return [], lines


def _told(scope: Scope) -> Told:
    """Return what the title says: the share of files of one size, a factor per method, or one loss."""
    band = _band(scope)
    if band is not None:
        values = {row["variant_id"]: ppl_share(row) for row in band.files.values()}
        leader = band.files[band.leader]["variant_id"] if band.leader is not None else ""
        return Told(leader, values)
    fitted = _fits(scope)
    if fitted:
        return Told(endings={name: f"× {fit.factor} per bit" for name, fit in fitted.items()})
    ends = _ends(scope)
    values = {row["variant_id"]: _value_of(scope, row) for row in ends}
    return Told(str(ends[0]["variant_id"]) if ends else "", values)


def headline(scope: Scope) -> str:
    """Write PPL ratios at the smallest size that the most methods have, or the factor of KLD per bit saved.

    Where neither is known, write the loss of the files that lose most and least.
    """
    band, fitted, ends = _band(scope), _fits(scope), _ends(scope)
    if band is not None:
        return loss_titles.shares_at(band)
    if fitted:
        return loss_titles.cost_of_a_bit(fitted)
    if not ends:
        return "No selected variant was compared with the baseline"
    if _LOSS.of(scope.selection) == "ppl":
        shares = [f"{row['label']} {ppl_share(row)}" for row in ends]
        return f"{PPL_SHARE}: {formats.listing(shares)}"
    if ends[0]["kld_mean"] <= 0:
        return "No selected variant diverges from the baseline"
    return f"{ends[0]['label']} diverges most: {_value_of(scope, ends[0])} per token"


def _compared(scope: Scope) -> list[Row]:
    """Return the sound files of one model on one device that have the loss."""
    return sound(scope.results, one_place(_Drawn.of(scope).rows))


def _band(scope: Scope) -> Band | None:
    """Return the size at which the title compares methods by perplexity."""
    return fullest(bands(scope, _compared(scope))) if _LOSS.of(scope.selection) == "ppl" else None


def _fits(scope: Scope) -> dict[str, Fit]:
    return fits(_compared(scope)) if _LOSS.of(scope.selection) == "kld" else {}


def _ends(scope: Scope) -> list[Row]:
    """Return the files that lose most and, by perplexity, also least, the latter first."""
    loss = _LOSS.of(scope.selection)
    rows = sorted(_compared(scope), key=lambda row: (row[_COLUMNS[loss]], row["variant_id"]))
    return rows[-1:] if loss == "kld" else [rows[0], rows[-1]] if len(rows) > 1 else rows


def _value_of(scope: Scope, row: Row) -> str:
    return ppl_share(row) if _LOSS.of(scope.selection) == "ppl" else f"{formats.number(row['kld_mean'])} nats"


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


def _noted(scope: Scope) -> str:
    """Explain the dotted lines, the noise floor, and the lower edge of the axis, if they are drawn."""
    shown = _Drawn.of(scope)
    if not shown.rows:
        return ""
    fitted = "Dotted lines: fits of ln KLD over bits." if _fits(scope) else ""
    return " ".join(filter(None, [fitted, shown.distances.in_words(shown.distances.scale())]))


VIEW = View(
    id="degradation",
    tells=_tells,
    number=2,
    tab="Degradation",
    title="Degradation against the baseline",
    caption="Loss per token against the baseline over the same tokens (lower is better), with 95 % intervals "
    "clustered by window. Large points: no file of fewer bits loses less.",
    captions={
        "ppl": "The vertical axis is ln of the perplexity ratio.",
        "kld": "The vertical axis is the mean KL divergence over the whole vocabulary.",
    },
    noted=_noted,
    headline=headline,
    draw=figure,
    insights=insights,
    data=variants_with("ppl", "ln_ppl_ratio", "kld_mean", "kld_median", "kld_p990", "kld_p999", "same_top"),
    options=(_LOSS,),
    claims=claims_of("degradation"),
)
