"""Open a results folder and compute what the views need, as summaries small enough to send to a browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from dashboard.results.contrasts import contrast
from dashboard.results.engines import as_run, default_engine, engines_in, run_columns
from dashboard.results.folder import named, open_manifest, open_variants
from dashboard.results.frames import Frames
from dashboard.results.memo import Memo
from dashboard.results.recomputed import over_tokens
from dashboard.results.selection import EVERYTHING, Selection, TokenFilter
from dashboard.results.statistics import Estimate
from dashboard.results.token_parts import TokenParts, token_parts
from dashboard.results.token_summaries import DeltaSummary, delta_summary
from dashboard.style.theme import MethodStyle, method_styles
from evaluator.results.files import KV_CACHE, LAYERS, MEMORY, PAIRS, SPEED, VOCABULARY, tokens_of
from evaluator.results.manifest import Manifest
from evaluator.results.schema import FIRST_ENGINE

_T = TypeVar("_T")
#: Columns of `Results.variants` that are not in the file.
ADDED = ("label", "twin", "baseline_id", "n_windows", "failure", *run_columns())
#: Sizes of the caches: a page needs the same values several times, and the next page again.
_MOST_SELECTIONS, _MOST_CONTRASTS, _MOST_DELTAS = 64, 8192, 4096


@dataclass
class Results:
    """One results folder: the manifest, the variants frame and, on demand, everything else.

    `variants` has the schema's columns and those of `ADDED`: `label`, the variant's unique name in every view;
    `twin`, the part of it that distinguishes two files of one method and type (else null); `baseline_id`;
    `n_windows`, the windows behind the clustered errors; `failure`, how a file failed (else null); and those of
    `as_run` for the default engine.
    Opening the folder finds files whose columns are wrong; damage further inside is found when they are read.
    `problems` lists both, and the views that need such a file say why they are empty.
    """

    folder: Path
    manifest: Manifest
    variants: pl.DataFrame
    styles: dict[str, MethodStyle] = field(init=False, repr=False)
    """Colour and symbol per method of the whole folder, so that filters never change them."""
    _frames: Frames = field(init=False, repr=False)
    _memo: Memo[object] = field(default_factory=Memo, repr=False)
    _parts: Memo[TokenParts | None] = field(default_factory=Memo, repr=False)
    _recomputed: Memo[pl.DataFrame] = field(default_factory=lambda: Memo(_MOST_SELECTIONS), repr=False)
    _deltas: Memo[DeltaSummary | None] = field(default_factory=lambda: Memo(_MOST_DELTAS), repr=False)
    _defaults: Memo[str] = field(default_factory=lambda: Memo(_MOST_SELECTIONS), repr=False)
    _selected: Memo[pl.DataFrame] = field(default_factory=lambda: Memo(_MOST_SELECTIONS), repr=False)
    _contrasts: Memo[Estimate | None] = field(default_factory=lambda: Memo(_MOST_CONTRASTS), repr=False)

    @classmethod
    def open(cls, folder: Path) -> Results:
        """Read and validate the manifest and the variants.

        Raises:
            EmptyRunError: a run has started there and has measured nothing yet.
            ResultsError: the folder is missing, empty, damaged, of another version, or not a results folder.

        """
        manifest = open_manifest(folder)
        results = cls(folder, manifest, open_variants(folder, manifest))
        results._frames.look_at_every_file(results.variants["variant_id"])
        return results

    def __post_init__(self) -> None:
        self._frames = Frames(self.folder)
        self.styles = method_styles(self.measured["method"].to_list())

    @cached_property
    def models(self) -> list[str]:
        """Models of the variants, in the order in which they were measured."""
        order = [part.model for part in self.manifest.each]
        found = sorted(set(self.measured["model"].to_list()))
        return sorted(found, key=lambda name: order.index(name) if name in order else len(order))

    def of_model(self, model: str) -> Results:
        """Return the part about one model: its variants, and its manifest if it has one (cached)."""

        def compute() -> Results:
            manifest = next((part for part in self.manifest.each if part.model == model), self.manifest)
            rows = self.variants.filter(pl.col("model") == model)
            part = Results(self.folder, manifest, named(rows, manifest))
            part._frames, part.styles = self._frames.part(rows["variant_id"]), self.styles
            return part

        return self.memoized(f"model {model}", compute)

    @property
    def problems(self) -> list[str]:
        """What is wrong with files of the folder: one sentence each, without a full stop."""
        return list(self._frames.faults.values())

    def fault(self, name: str) -> str:
        """Return what is wrong with a file, named without folders; empty if nothing is."""
        return self._frames.faults.get(name, "")

    @cached_property
    def baseline(self) -> dict[str, Any]:
        """Row of the manifest's baseline over all tokens; of the first baseline if the manifest names none."""
        rows = self.variants.filter("is_baseline")
        named = rows.filter(pl.col("variant_id") == self.manifest.baseline_id)
        return (named if named.height else rows).row(0, named=True)

    @cached_property
    def measured(self) -> pl.DataFrame:
        """Every variant that is not a baseline."""
        return self.variants.filter(~pl.col("is_baseline"))

    @cached_property
    def methods(self) -> list[str]:
        """Method names, sorted."""
        return sorted(set(self.measured["method"].to_list()))

    @cached_property
    def domains(self) -> list[str]:
        """Names of the evaluation texts' domains, sorted."""
        return sorted({text.domain for part in self.manifest.each for text in part.texts})

    @cached_property
    def labels(self) -> dict[str, str]:
        """Label of every variant, by id."""
        return dict(self.variants.select("variant_id", "label").iter_rows())

    @cached_property
    def engines(self) -> tuple[str, ...]:
        """Engines in which a variant was timed; onnxruntime, the last of them, if none was."""
        return engines_in(self.measured) or (FIRST_ENGINE,)

    def engine(self, selection: Selection) -> str:
        """Return the engine whose times and losses are shown: the selected one, else `default_engine`.

        The default is that of the selected variants, so that a model timed in one engine is shown in it.
        """
        if selection.engine in self.engines:
            return selection.engine
        return self._defaults.get(
            selection, lambda: default_engine(self.measured.filter(selection.expression()))
        )

    def select(self, selection: Selection) -> pl.DataFrame:
        """Return the variants that pass the filters, without baselines, ordered by method and bits per weight.

        The columns of `as_run` are about the selected engine. With a token filter every statistic and its error is
        recomputed over those tokens; null without the token file, and if it exists over all tokens only.
        """

        def compute() -> pl.DataFrame:
            passing = self._over(selection).filter(selection.expression()).filter(~pl.col("is_baseline"))
            return passing.sort("method", "bits_per_weight", "variant_id")

        return self._selected.get(selection, compute)

    def baselines(self, selection: Selection) -> pl.DataFrame:
        """Return the baselines of the selected models and devices, over the same tokens.

        With devices selected, these are the baselines their variants are compared with, which may be from another
        device.
        """
        rows = self._over(selection).filter("is_baseline")
        if selection.models:
            rows = rows.filter(pl.col("model").is_in(sorted(selection.models)))
        if selection.devices:
            variants = self.measured.filter(pl.col("device").is_in(sorted(selection.devices)))
            rows = rows.filter(pl.col("variant_id").is_in(variants["baseline_id"].to_list()))
        return rows

    def baseline_of(self, row: Mapping[str, Any], selection: Selection = EVERYTHING) -> dict[str, Any]:
        """Return a row's baseline over the same tokens; the folder's first if its model has none."""
        own = row["baseline_id"] or self.baseline["variant_id"]
        return self._over(selection).filter(pl.col("variant_id") == own).row(0, named=True)

    def layers(self, selection: Selection = EVERYTHING) -> pl.DataFrame | None:
        """Return `layers.parquet` of the selected layers and roles; None if absent, empty or unreadable."""
        frame = self._frames.read(LAYERS)
        if frame is not None and selection.layers:
            frame = frame.filter(pl.col("layer").is_in(sorted(selection.layers)))
        if frame is not None and selection.roles:
            frame = frame.filter(pl.col("role").cast(pl.String).is_in(sorted(selection.roles)))
        return frame

    def pairs(self) -> pl.DataFrame | None:
        """Return `pairs.parquet`, bootstrap comparisons of pairs of variants; None if absent or unreadable."""
        return self._frames.read(PAIRS)

    def pieces(self, model: str) -> dict[int, str]:
        """Return the text of each scored token of a model by id (`vocabulary.parquet`); empty if absent."""
        frame = self._frames.read(VOCABULARY)
        if frame is None:
            return {}
        return dict(frame.filter(pl.col("model") == model).select("token", "piece").iter_rows())

    def kv_cache(self) -> pl.DataFrame | None:
        """Return files run with types of the cache (`kv_cache.parquet`); None if absent, empty or unreadable."""
        return self._frames.read(KV_CACHE)

    def speed(self, engine: str) -> pl.DataFrame | None:
        """Return the timed repetitions in an engine; None if absent, empty or unreadable."""
        speed = self._frames.read(SPEED)
        return None if speed is None else speed.filter(engine=engine)

    def memory(self) -> pl.DataFrame | None:
        """Return `memory.parquet`, the memory that files take in engines; None if absent, empty or unreadable."""
        return self._frames.read(MEMORY)

    def tokens(self, variant_id: str) -> pl.LazyFrame | None:
        """Return a variant's scored tokens as a lazy frame; None if absent or unreadable."""
        return self._frames.tokens(variant_id)

    def windows(self, variant_id: str, selection: Selection = EVERYTHING) -> pl.DataFrame | None:
        """Return sums of a variant's tokens per window (`TokenParts.windows`); None without its token file."""
        parts = self.parts(variant_id)
        return None if parts is None else parts.windows(selection.token_filter)

    def bins(self, variant_id: str, selection: Selection = EVERYTHING) -> pl.DataFrame | None:
        """Return means per bin of the baseline's confidence (`TokenParts.bins`); None without token files."""
        parts = self.parts(variant_id)
        return None if parts is None else parts.bins(selection.token_filter)

    def delta(self, variant_id: str, selection: Selection = EVERYTHING) -> DeltaSummary | None:
        """Return the distribution of Δ log p of a variant against its baseline (cached)."""
        wanted = selection.token_filter
        parts = self.parts(variant_id)
        if parts is None or parts.scores.baseline_nll is None:
            return None
        return self._deltas.get((variant_id, wanted), lambda: delta_summary(parts.delta(wanted)))

    def paired(
        self,
        first: str,
        second: str,
        column: str = "nll",
        selection: Selection = EVERYTHING,
    ) -> Estimate | None:
        """Return the mean over tokens of `column` in `first` minus in `second`; see `contrast`."""
        weights = {first: 1.0, second: -1.0} if first != second else {first: 0.0}
        return self.contrast(weights, column, selection)

    def contrast(
        self,
        weights: Mapping[str, float],
        column: str = "nll",
        selection: Selection = EVERYTHING,
    ) -> Estimate | None:
        """Return the weighted sum of variants' means of `column` over the same tokens, error clustered by window.

        `column` is `nll` or `kld` in nats, `same_top`, `delta_p` in percentage points, or `bin0`…`bin4` as
        shares. None without token files, or if the variants were not scored on the same tokens.
        """
        wanted = selection.token_filter

        def compute() -> Estimate | None:
            parts = [(self.parts(variant_id), weight) for variant_id, weight in weights.items()]
            terms = [(item, column, weight) for item, weight in parts if item is not None]
            return contrast(terms, wanted) if len(terms) == len(parts) else None

        return self._contrasts.get((tuple(weights.items()), column, wanted), compute)

    def parts(self, variant_id: str) -> TokenParts | None:
        """Return a variant's tokens joined with its baseline's (cached); None without the token files."""
        return self._parts.get(variant_id, lambda: self._read_parts(variant_id))

    def _over(self, selection: Selection) -> pl.DataFrame:
        """Return `variants` with statistics over the selected tokens (cached), as run in the selected engine."""
        wanted, engine = selection.token_filter, self.engine(selection)
        if selection.filters_tokens:
            return as_run(self._recomputed.get(wanted, lambda: self._computed(wanted)), engine)
        return self.variants if engine == self.engine(EVERYTHING) else as_run(self.variants, engine)

    def _computed(self, wanted: TokenFilter) -> pl.DataFrame:
        parts = [self.parts(str(name)) for name in self.variants["variant_id"]]
        return over_tokens(self.variants, parts, wanted)

    def _read_parts(self, variant_id: str) -> TokenParts | None:
        rows = self.variants.filter(pl.col("variant_id") == variant_id)
        if rows.is_empty():
            return None
        row = rows.row(0, named=True)
        base = None if row["is_baseline"] else self._frames.read_tokens(str(row["baseline_id"]), keep=True)
        tokens = self._frames.read_tokens(variant_id, keep=row["is_baseline"])
        if tokens is None or (base is None and not row["is_baseline"]):
            return None
        try:
            return token_parts(tokens, base, int(row["size_bytes"]))
        except ValueError as error:
            self._frames.note(tokens_of(variant_id).name, str(error))
            return None

    def memoized(self, key: str, compute: Callable[[], _T]) -> _T:
        """Return `compute()`, cached for this folder under `key`."""
        return self._memo.get(key, compute)  # type: ignore[return-value]  # the key names the computation
