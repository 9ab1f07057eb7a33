"""Locate the damage in a model: measures of the layer frame by role and by depth."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import polars as pl

from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.results.statistics import Estimate, gini
from dashboard.style import formats
from evaluator.results.schema import ROLES

ATTENTION = tuple(role for role in ROLES if role.startswith("attn_"))
FEED_FORWARD = tuple(role for role in ROLES if role.startswith("ffn_"))
_INNER = (*ATTENTION, *FEED_FORWARD)
WHOLE = "layer"
_LEAST_LAYERS = 6
#: A Gini coefficient over layers below this counts as even.
EVEN = 0.2
#: A layer (-1 for embedding and head) and a role in it.
Cell = tuple[int, str]
#: Measured values of one variant.
Values = Mapping[Cell, float]


@dataclass(frozen=True)
class Measure:
    """A quantity of the layer frame: its key in the URL, its column, its full name, a noun, and its unit."""

    key: str
    column: str
    name: str
    noun: str
    unit: str = ""

    @property
    def title(self) -> str:
        """The name with the unit, for an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def worded(self, value: float) -> str:
        """Write a value with its name and its unit."""
        return f"{self.name} {formats.number(value)} {self.unit}".rstrip()


WEIGHT = Measure("weight", "weight_error", "relative weight error", "weight error")
HIDDEN = Measure("hidden", "hidden_error", "relative output error", "output error")
ATTRIBUTION = Measure("attribution", "attribution_kld", "KLD of this part alone", "KLD", "nats")
MEASURES = (ATTRIBUTION, WEIGHT, HIDDEN)


def measured(layers: pl.DataFrame) -> list[Measure]:
    """Return the measures that the frame has, most telling first."""
    return [measure for measure in MEASURES if layers[measure.column].is_not_null().any()]


def having(results: Results, rows: Sequence[Row], measure: Measure) -> list[Row]:
    """Return the rows that have the measure in some layer and role."""
    layers = results.layers()
    if layers is None:
        return []
    ids = set(layers.filter(pl.col(measure.column).is_not_null())["variant_id"].unique())
    return [row for row in rows if row["variant_id"] in ids]


def cells(results: Results, rows: Sequence[Row], measure: Measure) -> dict[str, dict[Cell, float]]:
    """Return the measure's values in all layers and roles by variant; empty for a variant without it."""
    return _by_cell(results.layers(), rows, measure.column)


def framed(values: Values, layers: Collection[int], roles: Collection[str]) -> dict[Cell, float]:
    """Return the values of some layers and roles; an empty collection means all."""
    named = set(roles) - {WHOLE}

    def inside(layer: int, role: str) -> bool:
        return (not layers or layer in layers) and (not named or role in named)

    return {(layer, role): value for (layer, role), value in values.items() if inside(layer, role)}


def frame_name(layers: Collection[int], roles: Collection[str]) -> str:
    """Name the framed part: `attn_v in layer 5`."""
    where = ["embedding and head" if layer < 0 else f"layer {layer}" for layer in sorted(layers)]
    named = sorted(set(roles) - {WHOLE})
    if not named:
        return formats.listing(where, 3).capitalize() if where else "Every layer"
    return (
        f"{formats.listing(named, 3)} in {formats.listing(where, 3)}" if where else formats.listing(named, 3)
    )


def kinds(results: Results, rows: Sequence[Row]) -> dict[str, dict[Cell, str]]:
    """Return the tensor type of every layer and role by variant; empty if not recorded."""
    return _by_cell(results.layers(), rows, "quant_type")


def _by_cell(layers: pl.DataFrame | None, rows: Sequence[Row], column: str) -> dict[str, dict[Cell, Any]]:
    cells: dict[str, dict[Cell, Any]] = {row["variant_id"]: {} for row in rows}
    if layers is not None:
        known = layers.filter(pl.col("variant_id").is_in(list(cells)), pl.col(column).is_not_null())
        for name, layer, role, value in known.select("variant_id", "layer", "role", column).rows():
            cells[name][layer, role] = value
    return cells


def role_means(values_by_variant: Mapping[str, Values]) -> dict[str, float]:
    """Return the mean value per role over variants and layers, in the model's order of roles."""
    by_role: dict[str, list[float]] = {}
    for values in values_by_variant.values():
        for (_, role), value in values.items():
            by_role.setdefault(role, []).append(value)
    return {role: fmean(by_role[role]) for role in ROLES if role in by_role and role != WHOLE}


def attention_share(values: Values) -> Estimate | None:
    """Return ln(attention / feed-forward) of mean values per layer, averaged, with the error over layers.

    Above 0: attention is hit harder. None for fewer than three layers with both.
    """
    parts: dict[int, tuple[list[float], list[float]]] = {}
    for (layer, role), value in values.items():
        if layer >= 0 and value > 0 and role in _INNER:
            parts.setdefault(layer, ([], []))[role in FEED_FORWARD].append(value)
    both = [part for part in parts.values() if all(part)]
    return _over_layers([math.log(fmean(attention) / fmean(forward)) for attention, forward in both])


def depth(values: Values) -> list[float]:
    """Return the mean value per layer over its roles (or of the whole layer), first layer first."""
    inside = [(layer, role != WHOLE, value) for (layer, role), value in values.items() if layer >= 0]
    has_roles = any(of_role for _, of_role, _ in inside)
    layers: dict[int, list[float]] = {}
    for layer, of_role, value in inside:
        if of_role == has_roles:
            layers.setdefault(layer, []).append(value)
    return [fmean(layers[layer]) for layer in sorted(layers)]


def concentration(values: Sequence[float]) -> float | None:
    """Return the Gini coefficient over layers: 0 for an even spread; None for fewer than six layers."""
    return gini(values) if len(values) >= _LEAST_LAYERS else None


def first_third(values: Values) -> Estimate | None:
    """Compare the first third of the layers with the rest; see `_against`."""
    layers = depth(values)
    third = len(layers) // 3
    return _against(layers[:third], layers[third:])


def last_part(values: Values) -> Estimate | None:
    """Compare the last tenth of the layers and the head with the rest; see `_against`."""
    layers = depth(values)
    tenth = max(1, len(layers) // 10)
    head = [value for (_, role), value in values.items() if role == "output"]
    return _against([*layers[-tenth:], *head], layers[:-tenth])


def _against(part: Sequence[float], rest: Sequence[float]) -> Estimate | None:
    """Return ln(mean of a part / mean of the rest), geometric means, with the error from the spread of the rest.

    Above 0: the part is hit harder. None for fewer than six layers in all, or if a value is not positive.
    """
    if len(part) + len(rest) < _LEAST_LAYERS or len(rest) < 2 or not part or min(*part, *rest) <= 0:
        return None
    ours, theirs = [math.log(value) for value in part], [math.log(value) for value in rest]
    error = _spread(theirs) * math.sqrt(1 / len(ours) + 1 / len(theirs))
    return Estimate(sum(ours) / len(ours) - sum(theirs) / len(theirs), error, len(rest) - 1)


def times(value: Estimate) -> str:
    """Write a log ratio as a factor with its 95 % interval."""
    low, middle, high = (formats.number(math.exp(v), 3) for v in (value.low, value.value, value.high))
    return f"{middle} × ({low}–{high})"


def _over_layers(values: Sequence[float]) -> Estimate | None:
    if len(values) < 3:
        return None
    error = _spread(values) / math.sqrt(len(values))
    return Estimate(sum(values) / len(values), error, len(values) - 1)


def _spread(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))
