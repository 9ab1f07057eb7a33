"""Opens a results folder and answers what the views ask, with summaries small enough to send to a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import dataframely.exc
import polars as pl
import pydantic

from dashboard.insights.statistics import Estimate, clustered_mean
from dashboard.selection import Selection
from dashboard.theme import MethodStyle, method_styles
from dashboard.token_summaries import DeltaSummary, delta_summary, window_sums
from evaluator.frames import SCHEMA_VERSION, Layers, Variants, with_schema
from evaluator.manifest import MANIFEST_NAME, Manifest, read_manifest

_T = TypeVar("_T")
_FRAME_ERRORS = (
    pl.exceptions.PolarsError,
    OSError,
    dataframely.exc.SchemaError,
    dataframely.exc.ValidationError,
)
HOW_TO_MEASURE = "python -m evaluator run --baseline SRC --variant METHOD=SRC --text FILE --out"


class ResultsError(Exception):
    """A folder that cannot be shown; the message is one line for the person who named it."""


@dataclass
class Results:
    """One results folder: the manifest, the variants frame and, on demand, everything else.

    `variants` has the schema's columns and `label`, the name of a variant in every view. `problems` lists
    files that could not be read: the views that need them explain themselves.
    """

    folder: Path
    manifest: Manifest
    variants: pl.DataFrame
    problems: list[str] = field(default_factory=list)
    _cache: dict[str, object] = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @classmethod
    def open(cls, folder: Path) -> Results:
        """Read and validate the manifest and the variants.

        Raises:
            ResultsError: the folder is missing, empty, foreign, of another version, or damaged.

        """
        manifest = _open_manifest(folder)
        return cls(folder, manifest, _open_variants(folder))

    @cached_property
    def baseline(self) -> dict[str, object]:
        """The baseline's row."""
        return self.variants.filter("is_baseline").row(0, named=True)

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

    def select(self, selection: Selection) -> pl.DataFrame:
        """Return the picked variants without the baseline, ordered by method and bits per weight."""
        picked = self.variants.filter(selection.expression()).filter(~pl.col("is_baseline"))
        return picked.sort("method", "bits_per_weight", "variant_id")

    def layers(self) -> pl.DataFrame | None:
        """`layers.parquet`, validated; None when it is absent, empty or unreadable."""
        return self._cached("layers", self._read_layers)

    def speed(self) -> pl.LazyFrame | None:
        """`speed.parquet`, lazily; None when it is absent or unreadable."""
        path = self.folder / "speed.parquet"
        return self._cached("speed", lambda: self._scan(path)) if path.is_file() else None

    def tokens(self, variant_id: str) -> pl.LazyFrame | None:
        """Return a variant's scored tokens, lazily; None when the file is absent or unreadable."""
        path = self.folder / "tokens" / f"{variant_id}.parquet"
        if path.parent != self.folder / "tokens" or not path.is_file():
            return None
        return self._cached(f"tokens/{variant_id}", lambda: self._scan(path))

    def windows(self, variant_id: str) -> pl.DataFrame | None:
        """Per-window sums of a variant's tokens (`token_summaries.window_sums`), kept once computed."""

        def compute() -> pl.DataFrame | None:
            tokens = self.tokens(variant_id)
            return None if tokens is None else self._guarded(variant_id, lambda: window_sums(tokens))

        return self._cached(f"windows/{variant_id}", compute)

    def delta(self, variant_id: str) -> DeltaSummary | None:
        """Distribution of Δ log p of a variant against the baseline, kept once computed."""

        def compute() -> DeltaSummary | None:
            ours, base = self.tokens(variant_id), self.tokens(str(self.baseline["variant_id"]))
            if ours is None or base is None:
                return None
            return self._guarded(variant_id, lambda: delta_summary(base, ours))

        return self._cached(f"delta/{variant_id}", compute)

    def paired(self, first: str, second: str, column: str = "nll") -> Estimate | None:
        """Mean over tokens of `column` in `first` minus in `second`, with an error clustered by window.

        `column` is `nll` or `kld` in nats, `same_top`, or `bin0`…`bin4` as shares. None without token files.
        """
        ours, theirs = self.windows(first), self.windows(second)
        if ours is None or theirs is None:
            return None
        sums = [pl.col("window"), pl.col(column), pl.col(f"{column}_n").alias("n")]
        both = ours.select(sums).join(theirs.select(sums), on="window", suffix="_b").sort("window")
        if both.is_empty():
            return None
        difference = both[column] / both["n"] - both[f"{column}_b"] / both["n_b"]
        weight = pl.DataFrame([both["n"], both["n_b"]]).min_horizontal()
        return clustered_mean(difference.to_numpy(), weight.to_numpy())

    def _read_layers(self) -> pl.DataFrame | None:
        path = self.folder / "layers.parquet"
        if not path.is_file():
            return None
        frame = self._guarded("layers.parquet", lambda: with_schema(Layers, pl.read_parquet(path)))
        return None if frame is None or frame.is_empty() else frame

    def _scan(self, path: Path) -> pl.LazyFrame | None:
        def scan() -> pl.LazyFrame:
            frame = pl.scan_parquet(path)
            frame.collect_schema()
            return frame

        return self._guarded(path.name, scan)

    def _guarded(self, what: str, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except _FRAME_ERRORS as error:
            self.problems.append(f"{what} cannot be read: {_first_line(error)}")
            return None

    def _cached(self, key: str, compute: Callable[[], _T | None]) -> _T | None:
        with self._lock:
            if key not in self._cache:
                self._cache[key] = compute()
            return self._cache[key]  # type: ignore[return-value]  # the key names the computation


def _open_manifest(folder: Path) -> Manifest:
    if not folder.exists():
        raise ResultsError(f"{folder}: there is no such folder")
    if not folder.is_dir():
        raise ResultsError(f"{folder}: is not a folder; name the folder that holds {MANIFEST_NAME}")
    if not (folder / MANIFEST_NAME).is_file():
        raise ResultsError(
            f"{folder}: no {MANIFEST_NAME}, so this is no results folder; "
            f"make one with: {HOW_TO_MEASURE} {folder}"
        )
    try:
        manifest = read_manifest(folder)
    except (pydantic.ValidationError, UnicodeDecodeError, OSError) as error:
        raise ResultsError(f"{folder / MANIFEST_NAME}: {_first_line(error)}") from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise ResultsError(
            f"{folder}: written with schema version {manifest.schema_version}, "
            f"this program reads version {SCHEMA_VERSION}"
        )
    return manifest


def _open_variants(folder: Path) -> pl.DataFrame:
    path = folder / "variants.parquet"
    if not path.is_file():
        raise ResultsError(f"{path}: missing; finish the measurement with: {HOW_TO_MEASURE} {folder}")
    try:
        frame = with_schema(Variants, pl.read_parquet(path))
    except _FRAME_ERRORS as error:
        raise ResultsError(f"{path}: {_first_line(error)}") from None
    if not frame["is_baseline"].any():
        raise ResultsError(f"{path}: holds no baseline, so there is nothing to compare with")
    return frame.with_columns(_label(frame).alias("label")).sort(
        "is_baseline", "variant_id", descending=[True, False]
    )


def _label(frame: pl.DataFrame) -> pl.Expr:
    """Name variants `method quant`, with the model or the device where the folder has several."""
    parts = [pl.when("is_baseline").then(pl.lit("baseline")).otherwise(pl.col("method")), pl.col("quant")]
    parts += [pl.col(column) for column in ("model", "device") if frame[column].n_unique() > 1]
    return pl.concat_str(parts, separator=" ")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:240] if lines else type(error).__name__
