"""Draw how far files are from the baseline on a log axis, with the noise floor below which nothing is told apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dashboard.figures.curves import Spot
from dashboard.figures.drawing import Drawing
from dashboard.figures.scales import LogScale, Scale, resolution
from dashboard.insights.comparison import log_ratio
from dashboard.insights.noise import noise_floor, reach
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style.theme import BASELINE

_BAND = {"fillcolor": BASELINE.color, "opacity": 0.14, "line": {"width": 0}, "layer": "below"}


def nats(log_ratio: float) -> float:
    """Return ln(PPL / PPL of the baseline) as it is."""
    return log_ratio


def rise(log_ratio: float) -> float:
    """Return ln(PPL / PPL of the baseline) as a rise of perplexity in per cent."""
    return 100 * math.expm1(log_ratio)


def inverse_lost(log_ratio: float) -> float:
    """Return ln(PPL / PPL of the baseline) as a fall of 1/PPL in per cent."""
    return -100 * math.expm1(-log_ratio)


@dataclass(frozen=True)
class Distances:
    """Distances from the baseline by variant; `floor` is that of the baseline with rounded weights, 0 if unknown."""

    of: Mapping[str, Estimate]
    floor: float
    unit: Callable[[float], float] = nats

    @classmethod
    def of_perplexity(
        cls, scope: Scope, rows: Sequence[Row], unit: Callable[[float], float] = nats
    ) -> Distances:
        """Return the distances in perplexity, `unit` of its log ratio to the baseline's."""
        floor = noise_floor(scope, rows)
        estimates = {row["variant_id"]: log_ratio(row) for row in rows}
        return cls(estimates, reach(floor) if floor is not None else 0.0, unit)

    def spot(self, row: Row, across: float) -> Spot:
        """Return a variant's place, with its 95 % interval if that is known."""
        loss = self.of[row["variant_id"]]
        ends = (loss.low, loss.high) if loss.has_error else (loss.value, loss.value)
        return Spot(across, *map(self.unit, (loss.value, *ends)))

    def scale(self, shown: Sequence[float] = (), *, is_reversed: bool = False) -> LogScale:
        """Fit a log axis to the distances, the upper ends of their intervals, and other values that are `shown`."""
        least = self.unit(resolution(self.floor, [loss.half for loss in self.of.values()]))
        ends = [self.unit(loss.high) for loss in self.of.values() if loss.has_error]
        levels = [self.unit(self.floor)] if self.floor > 0 else []
        return LogScale.of(
            [self.unit(loss.value) for loss in self.of.values()],
            margin=0.08,
            least=least,
            shown=[*ends, *levels, *shown],
            is_reversed=is_reversed,
        )

    def draw_floor(self, drawn: Drawing, scale: Scale) -> None:
        """Shade a log axis of the distances up to the noise floor, if that is known."""
        if self.floor <= 0 or not isinstance(scale, LogScale):
            return
        top = self.unit(self.floor)
        drawn.add_band(10 ** (min(scale.range) - 1), top, **_BAND)
        drawn.add_annotation(
            text="noise floor: the baseline rounded to bf16",
            narrow={"text": "noise floor"},
            showarrow=False,
            x=0.995,
            xref="paper",
            xanchor="right",
            y=math.log10(top),
            yanchor="top" if scale.range[0] < scale.range[1] else "bottom",
        )

    def in_words(self, scale: LogScale) -> str:
        """Explain the noise floor and, if files stand at the axis's edge, which."""
        told = (
            "The grey band is the effect of rounding the baseline's weights to bf16."
            if self.floor > 0
            else ""
        )
        if scale.edge is None:
            return told
        least = "a tenth of the smallest error" if scale.least > 0 else "0"
        which = "within the band" if self.floor > 0 else f"up to {least}, or below the baseline"
        return f"{told} Open markers at the axis's edge: {which}.".lstrip()
