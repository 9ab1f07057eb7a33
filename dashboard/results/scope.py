"""Combine a results folder with the active filters, for charts, insights and exports."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import polars as pl

from dashboard.results.engines import as_run_by
from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.results.statistics import Estimate
from dashboard.results.token_summaries import DeltaSummary
from evaluator.results.manifest import Manifest
from evaluator.results.schema import FIRST_ENGINE

_T = TypeVar("_T")


@dataclass(frozen=True)
class Scope:
    """A folder and the active filters; all values are over the selected variants and tokens."""

    results: Results
    selection: Selection = EVERYTHING
    _found: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: Hashable, compute: Callable[[], _T]) -> _T:
        """Return `compute()`, kept with this scope under `key`: the parts of a page ask for the same answers."""
        if key not in self._found:
            self._found[key] = compute()
        found: _T = self._found[key]
        return found

    @property
    def frame(self) -> pl.DataFrame:
        """The variants that pass the filters; see `Results.select`."""
        return self.results.select(self.selection)

    @cached_property
    def rows(self) -> list[Row]:
        """`frame` as a list of rows."""
        return self.frame.to_dicts()

    @property
    def runs(self) -> list[Manifest]:
        """The manifests of the selected models' runs; the folder's own if none has their names."""
        models = self.selection.models or set(self.results.models)
        manifest = self.results.manifest
        return [run for run in manifest.each if run.model in models] or [manifest]

    @property
    def engine(self) -> str:
        """The engine that the columns `run_…` are about; see `Results.engine`."""
        return self.results.engine(self.selection)

    @property
    def in_engine(self) -> str:
        """Where files were run, as ` in llama.cpp`; empty in a folder whose files were only run as packed ONNX."""
        return "" if self.results.engines == (FIRST_ENGINE,) else f" {as_run_by(self.engine)}"

    @property
    def all_variants(self) -> Selection:
        """The selection of all variants over the same tokens in the same engine, to compare values with."""
        return Selection(domains=self.selection.domains, bins=self.selection.bins, engine=self.engine)

    @property
    def baselines(self) -> pl.DataFrame:
        """Baselines of the selected models and devices; see `Results.baselines`."""
        return self.results.baselines(self.selection)

    def baseline_of(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row's baseline over the selected tokens."""
        return self.results.baseline_of(row, self.selection)

    def baselines_of(self, rows: Sequence[Row]) -> list[Row]:
        """Return the baselines that the rows are compared with, one per model and device."""
        pairs = {(row["model"], row["device"]): row for row in rows}
        baselines = [self.baseline_of(row) for _, row in sorted(pairs.items())]
        return list({base["variant_id"]: base for base in baselines}.values())

    def narrowed(self, **changes: Any) -> Scope:
        """Return the same folder with some fields of the selection changed; this scope if they are so already."""
        selection = replace(self.selection, **changes)
        return self if selection == self.selection else replace(self, selection=selection)

    def layers(self) -> pl.DataFrame | None:
        """Return `layers.parquet` of the selected layers and roles; None if absent."""
        return self.results.layers(self.selection)

    def kv_cache(self) -> pl.DataFrame | None:
        """Return `kv_cache.parquet` of the selected variants; None if absent."""
        frame = self.results.kv_cache()
        return (
            None
            if frame is None
            else frame.join(self.frame.select("variant_id"), on="variant_id", how="semi")
        )

    def windows(self, variant_id: str) -> pl.DataFrame | None:
        """Return sums of a variant's selected tokens per window; None without its token file."""
        return self.results.windows(variant_id, self.selection)

    def bins(self, variant_id: str) -> pl.DataFrame | None:
        """Return means per bin of the baseline's confidence; None without token files."""
        return self.results.bins(variant_id, self.selection)

    def delta(self, variant_id: str) -> DeltaSummary | None:
        """Return the distribution of a variant's Δ log p over the selected tokens."""
        return self.results.delta(variant_id, self.selection)

    def paired(self, first: str, second: str, column: str = "nll") -> Estimate | None:
        """Return the mean of `column` in `first` minus in `second`, paired over the selected tokens."""
        return self.results.paired(first, second, column, self.selection)

    def contrast(self, weights: Mapping[str, float], column: str = "nll") -> Estimate | None:
        """Return the weighted sum of variants' means of `column`, paired over the selected tokens."""
        return self.results.contrast(weights, column, self.selection)
