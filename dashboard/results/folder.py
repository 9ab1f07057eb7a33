"""Reads the two files every results folder has, or says in one line why they cannot be shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

import dataframely as dy
import dataframely.exc
import polars as pl
import pydantic

from dashboard.results.failures import with_failures
from dashboard.style.formats import device_name
from dashboard.style.names import clean, clean_frame, clean_model
from evaluator.results.manifest import MANIFEST_NAME, Manifest, read_manifest
from evaluator.results.schema import SCHEMA_VERSION, Variants, with_schema

_T = TypeVar("_T")
VARIANTS_NAME = "variants.parquet"
HOW_TO_MEASURE = "python -m evaluator run --baseline SRC --variant METHOD=SRC --text FILE --out"
_MOST_CHARACTERS, _MOST_RULES = 240, 3
#: Lines of a validation's report: which column it goes on with, and which rule how many rows break.
_COLUMN, _RULE = re.compile(r"\* Column '(.*)' failed"), re.compile(r"- '(.*)' failed for ([\d,]+) rows")
_MISSING = re.compile(r"missing columns for schema '.*?': (.+)")
_IN_WORDS = {
    "nullability": "nothing in it",
    "nan": "a value that is not a number",
    "inf": "an infinite value",
    "min": "a value below the smallest there can be",
    "max": "a value above the largest there can be",
    "primary_key": "a name that is not its own",
}
_FRAME_ERRORS = (
    pl.exceptions.PolarsError,
    OSError,
    dataframely.exc.SchemaError,
    dataframely.exc.ValidationError,
)


class ResultsError(Exception):
    """A folder that cannot be shown; the message is one line for the person who named it."""


class EmptyRunError(ResultsError):
    """A run has begun in this folder and has finished nothing yet."""

    def __init__(self, message: str, manifest: Manifest) -> None:
        super().__init__(message)
        self.manifest = manifest


def open_manifest(folder: Path) -> Manifest:
    """Read `manifest.json`; its texts are fit to be shown, see `clean_model`.

    Raises:
        ResultsError: the folder is missing, empty, foreign or of another version.

    """
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
        raise ResultsError(f"{folder / MANIFEST_NAME}: {first_line(error)}") from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise ResultsError(
            f"{folder}: written with schema version {manifest.schema_version}, "
            f"this program reads version {SCHEMA_VERSION}; measure again with: {HOW_TO_MEASURE} NEW_FOLDER"
        )
    return clean_model(manifest)


def open_variants(folder: Path, manifest: Manifest) -> pl.DataFrame:
    """Read `variants.parquet`, validated, baselines first, with the columns that `Results.variants` adds.

    The windows are those of the manifest's texts; another model's tokenizer cuts about as many.

    Raises:
        EmptyRunError: an unfinished run has not measured its baseline yet.
        ResultsError: the file is missing, damaged, or holds no baseline.

    """
    path = folder / VARIANTS_NAME
    waiting = f"{folder}: a run has begun here and has finished nothing yet"
    if not path.is_file():
        if manifest.ended is None:
            raise EmptyRunError(waiting, manifest)
        raise ResultsError(f"{path}: missing; finish the measurement with: {HOW_TO_MEASURE} {folder}")
    frame, reason = attempt(lambda: with_schema(Variants, pl.read_parquet(path)))
    if frame is None:
        raise ResultsError(f"{path}: {reason}; measure again with: {HOW_TO_MEASURE} NEW_FOLDER")
    if not frame["is_baseline"].any():
        if manifest.ended is None:
            raise EmptyRunError(waiting, manifest)
        raise ResultsError(f"{path}: holds no baseline, so there is nothing to compare with")
    frame = clean_frame(frame)
    ordered = frame.sort("is_baseline", "variant_id", descending=[True, False])
    windows = sum(text.windows for text in manifest.texts)
    named = _with_labels(ordered).with_columns(
        _baseline_ids(ordered, manifest.baseline_id), pl.lit(windows, pl.Int64).alias("n_windows")
    )
    return with_failures(named)


def scan(path: Path, schema: type[dy.Schema]) -> pl.LazyFrame:
    """Scan a frame that may be large; one of other columns than today's is read and brought to them."""
    frame = pl.scan_parquet(path)
    there = frame.collect_schema()
    if any(there.get(name) != dtype for name, dtype in _types(schema).items()):
        return with_schema(schema, pl.read_parquet(path)).lazy()
    return frame


@cache
def _types(schema: type[dy.Schema]) -> pl.Schema:
    """Types of a schema's columns; asked for with each of a folder's files, and slow to find out."""
    return schema.create_empty().schema


def attempt(read: Callable[[], _T]) -> tuple[_T | None, str]:
    """Read a frame; None and the reason where that fails."""
    try:
        return read(), ""
    except _FRAME_ERRORS as error:
        return None, first_line(error)


def first_line(error: Exception) -> str:
    """Return what a person needs of an error that libraries spread over many lines."""
    if isinstance(error, pydantic.ValidationError):
        wrong = error.errors(include_url=False)[0]
        return ": ".join([*map(str, wrong["loc"]), wrong["msg"]])[:_MOST_CHARACTERS]
    if isinstance(error, dataframely.exc.ValidationError) and (broken := _broken_rules(str(error))):
        return "; ".join(broken[:_MOST_RULES])[:_MOST_CHARACTERS]
    if missing := _MISSING.search(str(error)):
        columns = missing[1].replace("'", "")
        return f"does not have {columns}, which every file of this kind has"[:_MOST_CHARACTERS]
    kept = 1 if isinstance(error, pl.exceptions.PolarsError) else 3  # polars adds its query plan
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:kept])[:_MOST_CHARACTERS] if lines else type(error).__name__


def _broken_rules(report: str) -> list[str]:
    """Word a validation's report: column by column, what is wrong with how many rows."""
    column, found = "", []
    for line in report.splitlines():
        if heading := _COLUMN.search(line):
            column = f"column {heading[1]}: "
        if broken := _RULE.search(line):
            rule, rows = broken.groups()
            what = _IN_WORDS.get(rule, f"what the rule {rule} forbids")
            found.append(f"{column}{rows} row{'' if rows == '1' else 's'} with {what}")
    return found


def _with_labels(frame: pl.DataFrame) -> pl.DataFrame:
    """Name each variant `method quant`, with what tells it apart: from its twin, from other models and devices."""
    ids = frame["variant_id"].to_list()
    twins = [clean(name) for name in twin_names(_labels(frame, [""] * len(ids)), ids)]
    labels = _labels(frame, twins)
    if len(set(labels)) < len(labels):  # what tells two files apart may be a third one's whole name
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
    """Tell files that are named alike apart, by what differs in their ids; empty for a name of one file.

    Of `main-q4_0` and `main-q4_0-llama-q4_0-v2` the second is `llama v2`: words that both ids begin with are left
    out of the rest, where that still tells the files apart.
    """
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(name, []).append(index)
    found = [""] * len(ids)
    for group in (group for group in groups.values() if len(group) > 1):
        words = [re.split("[-.]", ids[index]) for index in group]
        shared = len(list(takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))))
        rest, known = [own[shared:] for own in words], set(words[0][:shared])
        short = [" ".join(word for word in own if word not in known) for own in rest]
        ends = short if len(set(short)) == len(group) else [" ".join(own) for own in rest]
        for index, end in zip(group, ends, strict=True):
            found[index] = end
    return found


def _baseline_ids(frame: pl.DataFrame, main_baseline: str) -> pl.Series:
    """Return each row's own baseline: of its model and device, else of its model, else null."""
    baselines = frame.filter("is_baseline").sort(pl.col("variant_id") != main_baseline, maintain_order=True)
    own: dict[tuple[str, str | None], str] = {}
    for row in baselines.iter_rows(named=True):
        own.setdefault((row["model"], row["device"]), row["variant_id"])
        own.setdefault((row["model"], None), row["variant_id"])
    pairs = zip(frame["model"], frame["device"], strict=True)
    ids = [own.get((model, device), own.get((model, None))) for model, device in pairs]
    return pl.Series("baseline_id", ids, dtype=pl.String)
