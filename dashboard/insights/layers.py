"""Locate the damage in a model: measures of the layer frame by role and by depth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, TypeVar

import polars as pl

from dashboard.insights.layer_measures import Measure
from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.results.statistics import Estimate, gini
from dashboard.style import formats
from dashboard.style.roles import named as named_role
from evaluator.results.schema import ROLES

ATTENTION = tuple(role for role in ROLES if role.startswith("attn_"))
FEED_FORWARD = tuple(role for role in ROLES if role.startswith("ffn_"))
_INNER = (*ATTENTION, *FEED_FORWARD)
WHOLE = "layer"
_T = TypeVar("_T")
#: The fewest layers whose spread is described.
LEAST_LAYERS = 6
#: A Gini coefficient over layers below this counts as even.
EVEN = 0.2
#: Log ratios below this are slight.
SLIGHT = math.log(1.1)
#: A layer (-1 for embedding and head) and a role in it.
Cell = tuple[int, str]
#: Measured values of one variant.
Values = Mapping[Cell, float]
#: Relative weight error of every expert, by number; None where there is no meaningful one.
Errors = Sequence[float | None]


@dataclass(frozen=True)
class Parts:
    """What the layer frame says about a variant: values, types, errors of experts, and which cells it has at all."""

    values: Values
    types: Mapping[Cell, str] = field(default_factory=dict)
    experts: Mapping[Cell, Errors] = field(default_factory=dict)
    places: frozenset[Cell] = frozenset()


@dataclass(frozen=True)
class Shown:
    """What is drawn: the measure, the variants (one panel each), and their parts by id.

    The colour scale spans the values of the shown variants and `among`, those of all that pass the filters.
    """

    measure: Measure
    rows: list[Row]
    parts: Mapping[str, Parts]
    among: Sequence[float] = ()

    @property
    def values_of(self) -> dict[str, Values]:
        """The values by variant."""
        return {name: part.values for name, part in self.parts.items()}

    @property
    def labels(self) -> dict[str, str]:
        """The names of the variants by id."""
        return {str(row["variant_id"]): str(row["label"]) for row in self.rows}


def values_of_all(results: Results, rows: Sequence[Row], measure: Measure) -> list[float]:
    """Return all values of a measure in the layers and roles of `rows`."""
    layers = results.layers()
    if layers is None:
        return []
    ids = [row["variant_id"] for row in rows]
    return layers.filter(pl.col("variant_id").is_in(ids))[measure.column].drop_nulls().to_list()


def cells(results: Results, rows: Sequence[Row], measure: Measure) -> dict[str, dict[Cell, float]]:
    """Return the measure's values in all layers and roles by variant; empty for a variant without it."""
    return _by_cell(results.layers(), rows, measure.column)


def framed(values: Mapping[Cell, _T], layers: Collection[int], roles: Collection[str]) -> dict[Cell, _T]:
    """Return the values of some layers and roles; an empty collection means all."""
    named = set(roles) - {WHOLE}

    def inside(layer: int, role: str) -> bool:
        return (not layers or layer in layers) and (not named or role in named)

    return {(layer, role): value for (layer, role), value in values.items() if inside(layer, role)}


def frame_name(layers: Collection[int], chosen: Collection[str]) -> str:
    """Name the framed part: `attention values (attn_v) in layer 5`."""
    where = ["embedding and head" if layer < 0 else f"layer {layer}" for layer in sorted(layers)]
    named = [named_role(role) for role in sorted(set(chosen) - {WHOLE})]
    if not named:
        return formats.listing(where, 3).capitalize() if where else "Every layer"
    return (
        f"{formats.listing(named, 3)} in {formats.listing(where, 3)}" if where else formats.listing(named, 3)
    )


def parts(results: Results, rows: Sequence[Row], measure: Measure) -> dict[str, Parts]:
    """Return what the layer frame says about every variant, with the values of one measure."""
    layers = results.layers()
    values, types, places = (
        _by_cell(layers, rows, column) for column in (measure.column, "quant_type", "role")
    )
    experts = {} if measure.of_layers else experts_of(results, rows)
    return {
        name: Parts(values[name], types[name], experts.get(name, {}), frozenset(places[name]))
        for name in places
    }


def experts_of(results: Results, rows: Sequence[Row]) -> dict[str, dict[Cell, Errors]]:
    """Return the errors of the experts in every layer and role that stacks some, by variant."""
    return _by_cell(results.layers(), rows, "expert_errors")


def usual_type(types: Mapping[Cell, str]) -> str | None:
    """Return the most frequent tensor type; None without types."""
    counts = Counter(types.values())
    return min(counts, key=lambda kind: (-counts[kind], kind)) if counts else None


def _by_cell(layers: pl.DataFrame | None, rows: Sequence[Row], column: str) -> dict[str, dict[Cell, Any]]:
    cells: dict[str, dict[Cell, Any]] = {row["variant_id"]: {} for row in rows}
    if layers is not None:
        known = layers.filter(pl.col("variant_id").is_in(list(cells)), pl.col(column).is_not_null())
        for name, layer, role, value in known.select("variant_id", "layer", "role", value=column).rows():
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
    return gini(values) if len(values) >= LEAST_LAYERS else None


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
    if len(part) + len(rest) < LEAST_LAYERS or len(rest) < 2 or not part or min(*part, *rest) <= 0:
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
