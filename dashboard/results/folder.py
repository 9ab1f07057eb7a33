"""Open a results folder for the dashboard, or say in one line why it cannot be shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import polars as pl

from dashboard.results.engines import as_run, default_engine
from dashboard.results.failures import with_failures
from dashboard.style.formats import device_name
from dashboard.style.names import clean, clean_frame, clean_model
from evaluator.results.files import MANIFEST_NAME, VARIANTS
from evaluator.results.manifest import Manifest
from evaluator.results.reader import ResultsFileError, read_frame, read_manifest
from evaluator.support.paths import NOT_UTF8, is_utf8

HOW_TO_MEASURE = "python -m evaluator run --baseline SRC --variant METHOD=SRC --text FILE --out"


class ResultsError(Exception):
    """A folder that cannot be shown; the message is one line for the user."""


class EmptyRunError(ResultsError):
    """A run has started in this folder but has not finished its first measurement."""

    def __init__(self, message: str, manifest: Manifest) -> None:
        super().__init__(message)
        self.manifest = manifest


def open_manifest(folder: Path) -> Manifest:
    """Read `manifest.json`, with its texts cleaned by `clean_model`.

    Raises:
        ResultsError: the folder is missing, empty, not a results folder or of another version.

    """
    try:
        _check(folder)
    except OSError as error:
        raise ResultsError(f"{folder}: cannot be accessed: {error.strerror or error}") from None
    try:
        return clean_model(read_manifest(folder))
    except ResultsFileError as error:
        raise _unusable(error) from None


def _check(folder: Path) -> None:
    if not is_utf8(folder.absolute()):
        raise ResultsError(f"{clean(str(folder))}: is {NOT_UTF8}")
    if not folder.exists():
        raise ResultsError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise ResultsError(f"{folder}: not a folder; give the folder that holds {MANIFEST_NAME}")
    if not (folder / MANIFEST_NAME).is_file():
        raise ResultsError(
            f"{folder}: not a results folder, as it has no {MANIFEST_NAME}; "
            f"make one with: {HOW_TO_MEASURE} NEW_FOLDER"
        )


def open_variants(folder: Path, manifest: Manifest) -> pl.DataFrame:
    """Read and validate `variants.parquet`, baselines first, with the columns that `Results.variants` adds.

    Raises:
        EmptyRunError: an unfinished run has not measured its baseline yet.
        ResultsError: the file is missing, damaged, or holds no baseline.

    """
    path = folder / VARIANTS.place
    if manifest.ended is not None and not path.is_file():
        raise ResultsError(f"{path}: missing; finish the measurement with: {HOW_TO_MEASURE} {folder}")
    try:
        frame = read_frame(folder, VARIANTS, validate=True)
    except ResultsFileError as error:
        raise _unusable(error) from None
    if not frame["is_baseline"].any():
        if manifest.ended is None:
            raise EmptyRunError(
                f"{folder}: a run has started here but has not measured its baseline yet", manifest
            )
        raise ResultsError(f"{path}: has no baseline to compare with")
    return named(clean_frame(frame), manifest)


def named(frame: pl.DataFrame, manifest: Manifest) -> pl.DataFrame:
    """Sort rows of the variants frame, baselines first, and add or replace the columns of `Results.variants`.

    Those of `as_run` are about the default engine.

    `n_windows` comes from the texts of the model's manifest, else of the folder's.
    """
    ordered = frame.sort("is_baseline", "variant_id", descending=[True, False])
    windows = {part.model: sum(text.windows for text in part.texts) for part in manifest.each}
    default = default_engine(frame.filter(~pl.col("is_baseline")))
    complete = with_failures(
        _with_labels(ordered).with_columns(
            _baseline_ids(ordered, manifest.baseline_id),
            pl.col("model")
            .replace_strict(windows, default=windows[manifest.model], return_dtype=pl.Int64)
            .alias("n_windows"),
        )
    )
    return as_run(complete, default)


def _unusable(error: ResultsFileError) -> ResultsError:
    return ResultsError(f"{error.path}: {error.reason}; measure again with: {HOW_TO_MEASURE} NEW_FOLDER")


def _with_labels(frame: pl.DataFrame) -> pl.DataFrame:
    """Name each variant `method quant`, plus the words, model or device that make the name unique."""
    ids = frame["variant_id"].to_list()
    twins = [clean(name) for name in twin_names(_labels(frame, [""] * len(ids)), ids)]
    labels = _labels(frame, twins)
    if len(set(labels)) < len(labels):  # the words added to one name may make it equal to another
        twins = [
            name if labels.count(label) > 1 else twin
            for name, label, twin in zip(ids, labels, twins, strict=True)
        ]
        labels = _labels(frame, twins)
    return frame.with_columns(
        pl.Series("label", labels), pl.Series("twin", [twin or None for twin in twins], dtype=pl.String)
    )


def _labels(frame: pl.DataFrame, twins: Sequence[str]) -> list[str]:
    places = [column for column in ("model", "device") if frame[column].n_unique() > 1]
    devices = pl.col("device").map_elements(device_name, return_dtype=pl.String)
    rows = frame.with_columns(devices).select("is_baseline", "method", "quant", *places).iter_rows()
    return [
        " ".join(filter(None, ["baseline" if is_baseline else method, quant, twin, *place]))
        for (is_baseline, method, quant, *place), twin in zip(rows, twins, strict=True)
    ]


def twin_names(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """Return words that distinguish files with equal names, taken from their ids; empty for a unique name.

    For `main-q4_0` and `main-q4_0-llama-q4_0-v2` these are empty and `llama v2`: words of the common beginning are
    dropped from the rest, if the files still differ then.
    """
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(name, []).append(index)
    names_of = [""] * len(ids)
    for group in (group for group in groups.values() if len(group) > 1):
        words = [re.split("[-.]", ids[index]) for index in group]
        shared = len(list(takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))))
        rest, known = [own[shared:] for own in words], set(words[0][:shared])
        short = [" ".join(word for word in own if word not in known) for own in rest]
        ends = short if len(set(short)) == len(group) else [" ".join(own) for own in rest]
        for index, end in zip(group, ends, strict=True):
            names_of[index] = end
    return names_of


def _baseline_ids(frame: pl.DataFrame, main_baseline: str) -> pl.Series:
    """Return each row's baseline id: of its model and device, else of its model, else null."""
    baselines = frame.filter("is_baseline").sort(pl.col("variant_id") != main_baseline, maintain_order=True)
    own: dict[tuple[str, str | None], str] = {}
    for row in baselines.iter_rows(named=True):
        own.setdefault((row["model"], row["device"]), row["variant_id"])
        own.setdefault((row["model"], None), row["variant_id"])
    pairs = zip(frame["model"], frame["device"], strict=True)
    ids = [own.get((model, device), own.get((model, None))) for model, device in pairs]
    return pl.Series("baseline_id", ids, dtype=pl.String)
