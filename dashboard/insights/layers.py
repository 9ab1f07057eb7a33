"""Where in a model the damage is: measures of the layer frame, and what they say about roles and depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from dashboard import formats
from dashboard.charts import Row
from dashboard.insights.statistics import Z95, Estimate, gini, student
from dashboard.results import Results
from dashboard.selection import EVERYTHING, Selection
from evaluator.frames import ROLES

ATTENTION = tuple(role for role in ROLES if role.startswith("attn_"))
FEED_FORWARD = tuple(role for role in ROLES if role.startswith("ffn_"))
WHOLE = "layer"
_LEAST_LAYERS = 6


@dataclass(frozen=True)
class Measure:
    """A quantity of the layer frame: its key in the URL, its column, a title with its unit, and a noun."""

    key: str
    column: str
    title: str
    noun: str


WEIGHT = Measure("weight", "weight_error", "relative weight error", "weight error")
HIDDEN = Measure("hidden", "hidden_error", "relative output error", "output error")
ATTRIBUTION = Measure("attribution", "attribution_kld", "KLD of this part alone (nats)", "KLD")
MEASURES = (ATTRIBUTION, WEIGHT, HIDDEN)


def measured(layers: pl.DataFrame) -> list[Measure]:
    """Measures that the frame holds, the most telling first."""
    return [measure for measure in MEASURES if layers[measure.column].is_not_null().any()]


def cells(results: Results, selection: Selection, rows: Sequence[Row], measure: Measure) -> pl.DataFrame:
    """Return the layer rows of `rows` that hold the measure, with its `value`; empty when there are none."""
    layers = results.layers(selection)
    if layers is None:
        return pl.DataFrame(
            schema={"variant_id": pl.String, "layer": pl.Int16, "role": pl.String, "value": pl.Float64}
        )
    ids = [row["variant_id"] for row in rows]
    mine = layers.filter(pl.col("variant_id").is_in(ids), pl.col(measure.column).is_not_null())
    return mine.with_columns(pl.col("role").cast(pl.String), pl.col(measure.column).alias("value"))


def role_means(found: pl.DataFrame) -> dict[str, float]:
    """Mean value per role over variants and layers, in the model's order of roles."""
    inside = found.filter(pl.col("role") != WHOLE)
    means = dict(inside.group_by("role").agg(pl.col("value").mean()).iter_rows())
    return {role: means[role] for role in ROLES if role in means}


def attention_share(found: pl.DataFrame, variant_id: str) -> Estimate | None:
    """ln(attention / feed-forward) of the mean value, a value per layer, with the error over layers.

    Above 0: attention is hit harder. None for fewer than three layers with both.
    """
    mine = found.filter(pl.col("variant_id") == variant_id, pl.col("layer") >= 0, pl.col("value") > 0)
    parts = [pl.col("value").filter(pl.col("role").is_in(part)).mean() for part in (ATTENTION, FEED_FORWARD)]
    ratios = mine.group_by("layer").agg((parts[0] / parts[1]).log().alias("ratio"))["ratio"].drop_nulls()
    return _over_layers(ratios.to_list())


def depth(found: pl.DataFrame, variant_id: str) -> list[float]:
    """Mean value per layer over its roles (or of the whole layer), first layer first."""
    mine = found.filter(pl.col("variant_id") == variant_id, pl.col("layer") >= 0)
    inner = mine.filter(pl.col("role") != WHOLE)
    per_layer = (inner if inner.height else mine).group_by("layer").agg(pl.col("value").mean()).sort("layer")
    return [float(value) for value in per_layer["value"]]


def concentration(values: Sequence[float]) -> float | None:
    """Gini coefficient over layers: 0 for an even spread; None for fewer than six layers."""
    return gini(values) if len(values) >= _LEAST_LAYERS else None


def first_third(found: pl.DataFrame, variant_id: str) -> Estimate | None:
    """See `_against`: the first third of the layers against the rest."""
    values = depth(found, variant_id)
    third = len(values) // 3
    return _against(values[:third], values[third:])


def last_part(found: pl.DataFrame, variant_id: str) -> Estimate | None:
    """See `_against`: the last tenth of the layers and the head against the rest."""
    values = depth(found, variant_id)
    tenth = max(1, len(values) // 10)
    head = found.filter(pl.col("variant_id") == variant_id, pl.col("role") == "output")["value"]
    return _against([*values[-tenth:], *(float(value) for value in head)], values[:-tenth])


def _against(part: Sequence[float], rest: Sequence[float]) -> Estimate | None:
    """ln(mean of a part / mean of the rest), geometric means, with the error from the spread of the rest.

    Above 0: the part is hit harder. None for fewer than six layers in all, or when a value is not positive.
    """
    if len(part) + len(rest) < _LEAST_LAYERS or len(rest) < 2 or not part or min(*part, *rest) <= 0:
        return None
    ours, theirs = [math.log(value) for value in part], [math.log(value) for value in rest]
    error = _spread(theirs) * math.sqrt(1 / len(ours) + 1 / len(theirs)) * student(len(rest) - 1) / Z95
    return Estimate(sum(ours) / len(ours) - sum(theirs) / len(theirs), error)


def times(value: Estimate) -> str:
    """Write a log ratio as a factor with its 95 % interval."""
    low, middle, high = (formats.number(math.exp(v), 3) for v in (value.low, value.value, value.high))
    return f"{middle} × ({low}–{high})"


def kinds(results: Results, variant_id: str) -> dict[tuple[int, str], str]:
    """Tensor type of every layer and role of a variant."""
    layers = results.layers(EVERYTHING)
    if layers is None:
        return {}
    mine = layers.filter(pl.col("variant_id") == variant_id, pl.col("quant_type").is_not_null())
    found = mine.select("layer", pl.col("role").cast(pl.String), "quant_type")
    return {(layer, role): kind for layer, role, kind in found.iter_rows()}


def _over_layers(values: Sequence[float]) -> Estimate | None:
    if len(values) < 3:
        return None
    error = _spread(values) / math.sqrt(len(values)) * student(len(values) - 1) / Z95
    return Estimate(sum(values) / len(values), error)


def _spread(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))
