"""Name the measures of the layer frame, and choose one that files have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.style import formats


@dataclass(frozen=True)
class Measure:
    """A quantity of the layer frame: its key in the URL, its column, its full name, a noun, and its unit.

    Values are shown multiplied by `scale`, and `sentence` puts one into words. A measure `of_layers` has one value
    per layer and none per role; if it is `of_routing` too, only layers with experts have it.
    """

    key: str
    column: str
    name: str
    noun: str
    unit: str = ""
    scale: float = 1.0
    sentence: str = "{noun} {value}"
    of_layers: bool = False
    of_routing: bool = False

    @property
    def title(self) -> str:
        """The name with the unit, for an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def written(self, value: float) -> str:
        """Write a value with its unit."""
        return f"{formats.number(self.scale * value)} {self.unit}".rstrip()

    def worded(self, value: float) -> str:
        """Write a value with its name and its unit."""
        return f"{self.name} {self.written(value)}"

    def in_a_sentence(self, value: float) -> str:
        """Write a value so that a sentence can end with it."""
        return self.sentence.format(noun=self.noun, value=self.written(value))


WEIGHT = Measure("weight", "weight_error", "relative weight error", "weight error")
HIDDEN = Measure("hidden", "hidden_error", "relative output error", "output error", of_layers=True)
ATTRIBUTION = Measure("attribution", "attribution_kld", "KLD of this part alone", "attribution", "nats")
ROUTING = Measure(
    "routing",
    "routing_changed",
    "tokens with other experts",
    "share of tokens with other experts",
    "%",
    scale=100,
    sentence="{value} of the sampled tokens get other experts",
    of_layers=True,
    of_routing=True,
)
ROUTERS = Measure(
    "routers",
    "routing_kld",
    "divergence of the router",
    "router's KLD",
    "nats",
    of_layers=True,
    of_routing=True,
)
#: All measures, the most telling first.
MEASURES = (ATTRIBUTION, WEIGHT, HIDDEN, ROUTING, ROUTERS)


def having(results: Results, rows: Sequence[Row], *measures: Measure) -> list[Row]:
    """Return the rows that have one of the measures in some layer and role; without `measures` any at all."""
    known = _measured(results)
    ids = set[str]().union(*(known[measure] for measure in measures or MEASURES))
    return [row for row in rows if row["variant_id"] in ids]


def shared(results: Results, rows: Sequence[Row]) -> Measure | None:
    """Return the most telling measure that all rows have, else that most of them have; None if they have none."""
    known = _measured(results)
    counts = {measure: sum(row["variant_id"] in known[measure] for row in rows) for measure in MEASURES}
    most = max(MEASURES, key=lambda measure: counts[measure])
    return most if counts[most] else None


def _measured(results: Results) -> dict[Measure, set[str]]:
    """Return the ids of the variants that have each measure in some layer and role."""
    layers = results.layers()
    if layers is None:
        return {measure: set() for measure in MEASURES}
    columns = [pl.col(measure.column).is_not_null().any() for measure in MEASURES]
    known = layers.group_by("variant_id").agg(columns)
    return {measure: set(known.filter(measure.column)["variant_id"]) for measure in MEASURES}
