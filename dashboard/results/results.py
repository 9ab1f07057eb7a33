"""Opens a results folder and answers what the views ask, with summaries small enough to send to a browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from dashboard.results.contrasts import contrast
from dashboard.results.folder import open_manifest, open_variants
from dashboard.results.frames import Frames
from dashboard.results.memo import Memo
from dashboard.results.selection import EVERYTHING, Selection, TokenFilter
from dashboard.results.statistics import Estimate
from dashboard.results.token_parts import TokenParts, token_parts
from dashboard.results.token_summaries import DeltaSummary, delta_summary
from dashboard.style.theme import MethodStyle, method_styles
from evaluator.metrics import columns_of
from evaluator.results.files import LAYERS, PAIRS, SPEED, VOCABULARY, tokens_of
from evaluator.results.manifest import Manifest
from evaluator.results.schema import STATISTICS

_T = TypeVar("_T")
#: Columns of `Results.variants` that are not in the file.
ADDED = ("label", "twin", "baseline_id", "n_windows", "failure")
ALL_TOKENS: TokenFilter = (frozenset(), frozenset())
_COUNTS = ("n_tokens", "n_windows")
#: How many answers are kept; a page asks for the same ones several times, and the next page again.
_MOST_SELECTIONS, _MOST_CONTRASTS, _MOST_DELTAS = 64, 8192, 4096


@dataclass
class Results:
    """One results folder: the manifest, the variants frame and, on demand, everything else.

    `variants` has the schema's columns and those of `ADDED`: `label`, a name in every view that no other variant
    has, `twin`, the part of it that tells two files of one method and type apart (else null), `baseline_id`,
    `n_windows`, the windows behind the clustered errors, and `failure`, how a file failed (else null).
    Files that cannot be read are found when the folder is opened, as far as their columns tell; damage further
    inside when they are read. `problems` lists them, and the views that need them explain themselves.
    """

    folder: Path
    manifest: Manifest
    variants: pl.DataFrame
    _frames: Frames = field(init=False, repr=False)
    _memo: Memo[object] = field(default_factory=Memo, repr=False)
    _parts: Memo[TokenParts | None] = field(default_factory=Memo, repr=False)
    _recomputed: Memo[pl.DataFrame] = field(default_factory=lambda: Memo(_MOST_SELECTIONS), repr=False)
    _deltas: Memo[DeltaSummary | None] = field(default_factory=lambda: Memo(_MOST_DELTAS), repr=False)
    _selected: Memo[pl.DataFrame] = field(default_factory=lambda: Memo(_MOST_SELECTIONS), repr=False)
    _contrasts: Memo[Estimate | None] = field(default_factory=lambda: Memo(_MOST_CONTRASTS), repr=False)

    @classmethod
    def open(cls, folder: Path) -> Results:
        """Read and validate the manifest and the variants.

        Raises:
            EmptyRunError: a run has begun there and has finished nothing.
            ResultsError: the folder is missing, empty, foreign, of another version, or damaged.

        """
        manifest = open_manifest(folder)
        results = cls(folder, manifest, open_variants(folder, manifest))
        results._frames.look_at_every_file(results.variants["variant_id"])
        return results

    def __post_init__(self) -> None:
        self._frames = Frames(self.folder)

    @property
    def problems(self) -> list[str]:
        """What is wrong with files of the folder, a sentence without its full stop each."""
        return list(self._frames.faults.values())

    def fault(self, name: str) -> str:
        """Tell what is wrong with a file, by its name without folders; empty where nothing is known to be."""
        return self._frames.faults.get(name, "")

    @cached_property
    def baseline(self) -> dict[str, Any]:
        """The manifest's baseline's row, over all tokens; the first baseline where the manifest names none."""
        rows = self.variants.filter("is_baseline")
        named = rows.filter(pl.col("variant_id") == self.manifest.baseline_id)
        return (named if named.height else rows).row(0, named=True)

    @cached_property
    def measured(self) -> pl.DataFrame:
        """Every variant that is not a baseline."""
        return self.variants.filter(~pl.col("is_baseline"))

    @cached_property
    def styles(self) -> dict[str, MethodStyle]:
        """Colour and symbol per method: of the whole folder, so that filtering never recolours."""
        return method_styles(self.measured["method"].to_list())

    @cached_property
    def methods(self) -> list[str]:
        """Method names, sorted."""
        return sorted(self.styles)

    @cached_property
    def domains(self) -> list[str]:
        """Names of the evaluation texts' domains, sorted."""
        return sorted({text.domain for text in self.manifest.texts})

    @cached_property
    def labels(self) -> dict[str, str]:
        """Label of every variant, by id."""
        return dict(self.variants.select("variant_id", "label").iter_rows())

    def select(self, selection: Selection) -> pl.DataFrame:
        """Return the variants that pass the filters, without baselines, ordered by method and bits per weight.

        With a token filter every statistic is computed anew over the part, errors included; it is null where
        the token file is missing. What only exists over all tokens is null then.
        """

        def compute() -> pl.DataFrame:
            passing = self._over(selection).filter(selection.expression()).filter(~pl.col("is_baseline"))
            return passing.sort("method", "bits_per_weight", "variant_id")

        return self._selected.get(selection, compute)

    def baselines(self, selection: Selection) -> pl.DataFrame:
        """Return the baselines (one per model and device) of the models and devices selected, computed alike.

        With devices selected, those that variants there are compared with: one of another device may serve.
        """
        rows = self._over(selection).filter("is_baseline")
        if selection.models:
            rows = rows.filter(pl.col("model").is_in(sorted(selection.models)))
        if selection.devices:
            there = self.measured.filter(pl.col("device").is_in(sorted(selection.devices)))
            rows = rows.filter(pl.col("variant_id").is_in(there["baseline_id"].to_list()))
        return rows

    def baseline_of(self, row: Mapping[str, Any], selection: Selection = EVERYTHING) -> dict[str, Any]:
        """Return a row's own baseline, computed alike; the folder's first where its model has none."""
        own = row["baseline_id"] or self.baseline["variant_id"]
        return self._over(selection).filter(pl.col("variant_id") == own).row(0, named=True)

    def layers(self, selection: Selection = EVERYTHING) -> pl.DataFrame | None:
        """`layers.parquet` of the selected layers and roles; None when it is absent, empty or unreadable."""
        frame = self._frames.read(LAYERS)
        if frame is not None and selection.layers:
            frame = frame.filter(pl.col("layer").is_in(sorted(selection.layers)))
        if frame is not None and selection.roles:
            frame = frame.filter(pl.col("role").cast(pl.String).is_in(sorted(selection.roles)))
        return frame

    def pairs(self) -> pl.DataFrame | None:
        """`pairs.parquet`: bootstrap comparisons of pairs of variants; None when absent or unreadable."""
        return self._frames.read(PAIRS)

    def pieces(self, model: str) -> dict[int, str]:
        """Text of each scored token of a model, by id (`vocabulary.parquet`); empty when it is absent."""
        frame = self._frames.read(VOCABULARY)
        if frame is None:
            return {}
        return dict(frame.filter(pl.col("model") == model).select("token", "piece").iter_rows())

    def speed(self) -> pl.DataFrame | None:
        """`speed.parquet`: timed repetitions; None when it is absent, empty or unreadable."""
        return self._frames.read(SPEED)

    def tokens(self, variant_id: str) -> pl.LazyFrame | None:
        """Return a variant's scored tokens, lazily; None when the file is absent or unreadable."""
        return self._frames.tokens(variant_id)

    def windows(self, variant_id: str, selection: Selection = EVERYTHING) -> pl.DataFrame | None:
        """Sums of a variant's tokens per window (`TokenParts.windows`); None without its token file."""
        parts = self.parts(variant_id)
        return None if parts is None else parts.windows(selection.token_filter)

    def bins(self, variant_id: str, selection: Selection = EVERYTHING) -> pl.DataFrame | None:
        """Means per bin of the baseline's confidence (`TokenParts.bins`); None without token files."""
        parts = self.parts(variant_id)
        return None if parts is None else parts.bins(selection.token_filter)

    def delta(self, variant_id: str, selection: Selection = EVERYTHING) -> DeltaSummary | None:
        """Distribution of Δ log p of a variant against its own baseline, kept once computed."""
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
        """Mean over tokens of `column` in `first` minus in `second`; see `contrast`."""
        weights = {first: 1.0, second: -1.0} if first != second else {first: 0.0}
        return self.contrast(weights, column, selection)

    def contrast(
        self,
        weights: Mapping[str, float],
        column: str = "nll",
        selection: Selection = EVERYTHING,
    ) -> Estimate | None:
        """Weighted sum of variants' means of `column` over the same tokens, with an error clustered by window.

        `column` is `nll` or `kld` in nats, `same_top`, `delta_p` in percentage points, or `bin0`…`bin4` as
        shares. None without token files, and when the variants were not scored on the same tokens.
        """
        wanted = selection.token_filter

        def compute() -> Estimate | None:
            found = [(self.parts(variant_id), weight) for variant_id, weight in weights.items()]
            terms = [(item, weight) for item, weight in found if item is not None]
            return contrast(terms, column, wanted) if len(terms) == len(found) else None

        return self._contrasts.get((tuple(weights.items()), column, wanted), compute)

    def parts(self, variant_id: str) -> TokenParts | None:
        """A variant's tokens beside its baseline's, kept once read; None without the token files."""
        return self._parts.get(variant_id, lambda: self._read_parts(variant_id))

    def _over(self, selection: Selection) -> pl.DataFrame:
        """`variants` with statistics over the selection's part of the tokens, kept once computed."""
        if not selection.filters_tokens:
            return self.variants
        wanted = selection.token_filter
        return self._recomputed.get(wanted, lambda: self._computed(wanted))

    def _computed(self, wanted: TokenFilter) -> pl.DataFrame:
        parts = [self.parts(str(name)) for name in self.variants["variant_id"]]
        found = [{} if item is None else item.statistics(wanted) for item in parts]
        replaced = set(STATISTICS).union(columns_of("all tokens"), *found) & set(self.variants.columns)
        columns = [
            pl.Series(name, [values.get(name) for values in found], dtype=dtype, strict=False)
            for name, dtype in self.variants.schema.items()
            if name in replaced or name in _COUNTS
        ]
        return self.variants.with_columns(columns).with_columns(pl.col(*_COUNTS).fill_null(0))

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
        """Return what `compute` finds out about the folder, computed once under `key`."""
        return self._memo.get(key, compute)  # type: ignore[return-value]  # the key names the computation
