"""Attribute the variants of a results folder that have no attribution yet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from evaluator.comparison.file_scorer import FileScorer
from evaluator.comparison.layers.attribution import Attribution, Attributor, attribution_windows
from evaluator.comparison.stages import reporting, stage
from evaluator.models.mapped import give_pages_back
from evaluator.planning.plan import Candidate, Plan
from evaluator.results.files import LAYERS
from evaluator.results.schema import Layers, with_schema
from evaluator.results.store import ResultsStore
from evaluator.support.errors import ExportError
from evaluator.support.progress import RunProgress
from evaluator.texts.windows import Window

#: Share of the memory for branches; weights and what a layer computes need the rest.
_BRANCHES = 0.4


class AttributionRun:
    """Measures the divergence that each matrix causes, for every variant that lacks it."""

    def __init__(self, plan: Plan, store: ResultsStore, scorer: FileScorer, progress: RunProgress) -> None:
        self._plan = plan
        self._store = store
        self._scorer = scorer
        self._progress = progress

    def run(self) -> None:
        """Attribute all waiting variants; failures are reported, and their columns stay null.

        Raises:
            OSError: the disk is full.
        """
        missing = self._store.unattributed()
        waiting = [item for item in self._plan.variants if item.variant_id in missing]
        if not waiting:
            return
        windows = attribution_windows(self._plan.windows)
        try:
            attributor = self._attributor(windows)
        except ExportError as error:
            self._progress.say(f"no attribution: {error}", "yellow")
            return
        for item in waiting:
            self._attribute(attributor, item)
            give_pages_back()

    def _attributor(self, windows: Sequence[Window]) -> Attributor:
        device = self._plan.device
        branches = int(_BRANCHES * self._scorer.budget(device).device)
        model = self._scorer.model(device)
        return Attributor(self._plan.baseline.file, model, windows, self._store.work, branches)

    def _attribute(self, attributor: Attributor, item: Candidate) -> None:
        name = item.label
        with stage(reporting(self._progress, f"{name}: no attribution")):
            attribution = attributor.attribute(
                item.file, lambda part: self._progress.step(f"{name}: attribution, {part}")
            )
            self._keep(item, attribution)

    def _keep(self, item: Candidate, attribution: Attribution) -> None:
        if lost := sum(not math.isfinite(kld) for kld in attribution.causes.values()):
            self._progress.say(
                f"{item.label}: {lost} of {len(attribution.causes)} matrices cause a KLD that is not finite",
                "yellow",
            )
        rows = with_attribution(self._store.layers(item.variant_id), item.variant_id, attribution)
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
    keys = ["variant_id", "layer", "role"]
    others = rows.drop("attribution_kld", strict=False)
    return with_schema(Layers, others.join(causes, on=keys, how="full", coalesce=True).sort(keys))
