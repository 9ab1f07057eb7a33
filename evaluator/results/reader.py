"""Reads results folders, where anything may have happened to the files; takes no lock, so a run may go on there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dataframely as dy
import dataframely.exc
import polars as pl
import pydantic

from evaluator.results.files import MANIFEST_NAME, MEASURE_ANEW, FrameFile
from evaluator.results.manifest import Manifest
from evaluator.results.schema import SCHEMA_VERSION, conform, with_schema
from evaluator.support.errors import RequestError

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
_ERRORS = (
    OSError,
    UnicodeDecodeError,
    pydantic.ValidationError,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    dataframely.exc.SchemaError,
    dataframely.exc.ValidationError,
)


class ResultsFileError(RequestError):
    """A file of a results folder cannot be used: `path`, and the `reason` in one line.

    The message is the evaluator's, with a way out; the dashboard words its own.
    """

    def __init__(self, path: Path, reason: str, way_out: str = MEASURE_ANEW) -> None:
        super().__init__(f"{path}: cannot be read: {reason}; {way_out}")
        self.path = path
        self.reason = reason


def read_manifest(folder: Path) -> Manifest:
    """Read `folder/manifest.json`.

    Raises:
        ResultsFileError: it is absent, damaged, or another version's.
    """
    path = folder / MANIFEST_NAME
    with readable(path):
        manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    if manifest.schema_version != SCHEMA_VERSION:
        raise ResultsFileError(
            path,
            f"written by another version, with schema version {manifest.schema_version} where this one reads "
            f"{SCHEMA_VERSION}",
        )
    return manifest


def read_frame(folder: Path, file: FrameFile, *, validate: bool = False) -> pl.DataFrame:
    """Read a frame, empty where the file is absent, with all columns of its schema in their types.

    Nullable columns that it lacks are null: they were not measured when it was written.

    Args:
        folder: the results folder.
        file: which frame.
        validate: check every value against the schema, as when it was written.

    Raises:
        ResultsFileError: it is damaged, or lacks a column that every frame of its kind has.
    """
    path = folder / file.place
    if not path.is_file():
        return file.schema.create_empty()
    with readable(path, file.way_out):
        return (with_schema if validate else conform)(file.schema, pl.read_parquet(path))


def scan_frame(folder: Path, file: FrameFile) -> pl.LazyFrame | None:
    """Scan a frame that may be large; None where the file is absent.

    A file with other columns than today's is read and brought to them. What is damaged further inside shows
    when the result is collected.

    Raises:
        ResultsFileError: it is damaged, or lacks a column that every frame of its kind has.
    """
    path = folder / file.place
    if not path.is_file():
        return None
    with readable(path, file.way_out):
        frame = pl.scan_parquet(path)
        there = frame.collect_schema()
        if all(there.get(name) == dtype for name, dtype in _types(file.schema).items()):
            return frame
    return read_frame(folder, file, validate=True).lazy()


@contextlib.contextmanager
def readable(path: Path, way_out: str = MEASURE_ANEW) -> Iterator[None]:
    """Turn what libraries raise while `path` is read into one error that says what is wrong with it.

    Raises:
        ResultsFileError: it cannot be read.
    """
    try:
        yield
    except _ERRORS as error:
        raise ResultsFileError(path, _reason(error), way_out) from error


@cache
def _types(schema: type[dy.Schema]) -> pl.Schema:
    """Types of a schema's columns; asked for with each of a folder's files, and slow to find out."""
    return schema.create_empty().schema


def _reason(error: BaseException) -> str:
    """Return what a person needs of an error that libraries spread over many lines."""
    if isinstance(error, pydantic.ValidationError):
        wrong = error.errors(include_url=False)[0]
        return ": ".join([*map(str, wrong["loc"]), wrong["msg"]])[:_MOST_CHARACTERS]
    if isinstance(error, dataframely.exc.ValidationError) and (broken := _broken_rules(str(error))):
        return "; ".join(broken[:_MOST_RULES])[:_MOST_CHARACTERS]
    if missing := _MISSING.search(str(error)):
        columns = missing[1].replace("'", "")
        return f"does not have {columns}, which every file of this kind has"[:_MOST_CHARACTERS]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
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
