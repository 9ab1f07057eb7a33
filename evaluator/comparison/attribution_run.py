"""Attribute the variants of a results folder that have no attribution yet."""

from __future__ import annotations

import math

import polars as pl

from evaluator.comparison.executor import Executor
from evaluator.comparison.layers.attribution import Attribution
from evaluator.comparison.stages import reporting
from evaluator.planning.plan import Candidate, Plan
from evaluator.results.files import LAYERS
from evaluator.results.layer_rows import attributed
from evaluator.results.schema import Layers
from evaluator.results.store import ResultsStore
from evaluator.support.progress import RunProgress


class AttributionRun:
    """Measures the divergence that each matrix causes, for every variant that lacks it."""

    def __init__(self, plan: Plan, store: ResultsStore, progress: RunProgress) -> None:
        self._plan = plan
        self._store = store
        self._progress = progress

    def run(self, executor: Executor) -> None:
        """Attribute all waiting variants; failures are reported, and their columns stay null.

        Raises:
            EvaluatorError: no variant can be attributed.
            OSError: the disk is full.
        """
        missing = self._store.unattributed()
        waiting = [item for item in self._plan.variants if item.variant_id in missing]
        executor.attribute(waiting, self._keep, self._failed)

    def _failed(self, item: Candidate, error: Exception) -> None:
        reporting(self._progress, f"{item.label}: no attribution")(error)

    def _keep(self, item: Candidate, attribution: Attribution) -> None:
        if lost := sum(not math.isfinite(kld) for kld in attribution.causes.values()):
            self._progress.say(
                f"{item.label}: {lost} of {len(attribution.causes)} matrices cause a KLD that is not finite",
                "yellow",
            )
        rows = with_attribution(self._store.rows(LAYERS, item.variant_id), item.variant_id, attribution)
        self._store.replace_rows(LAYERS, rows, item.variant_id)
        if attribution.additivity is not None and math.isfinite(attribution.additivity):
            self._store.set_columns(item.variant_id, {"attribution_additivity": attribution.additivity})


def with_attribution(rows: pl.DataFrame, variant_id: str, attribution: Attribution) -> pl.DataFrame:
    """Add `attribution_kld` to a variant's rows of `layers.parquet`; matrices without a row get one.

    Non-finite values become null.
    """
    types = Layers.create_empty().schema
    causes = pl.DataFrame(
        [(variant_id, layer, role, kld) for (layer, role), kld in attribution.causes.items()],
        schema={name: types[name] for name in ("variant_id", "layer", "role", "attribution_kld")},
        orient="row",
    ).with_columns(pl.when(pl.col("attribution_kld").is_finite()).then("attribution_kld"))
    return attributed(rows, causes)
