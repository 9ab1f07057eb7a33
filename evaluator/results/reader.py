"""Read results folders, whose files may be damaged; no lock is taken, so a run may be writing to them."""

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

_MAX_CHARACTERS, _MAX_RULES = 240, 3
#: Lines of dataframely's validation report: the heading of a column, and a rule with the number of rows that fail it.
_COLUMN, _RULE = re.compile(r"\* Column '(.*)' failed"), re.compile(r"- '(.*)' failed for ([\d,]+) rows")
_MISSING = re.compile(r"missing columns for schema '.*?': (.+)")
_IN_WORDS = {
    "nullability": "no value",
    "nan": "a value that is not a number",
    "inf": "an infinite value",
    "min": "a value below the minimum",
    "max": "a value above the maximum",
    "primary_key": "a duplicate key",
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

    The message is for the evaluator and contains the remedy; the dashboard builds its own message.
    """

    def __init__(self, path: Path, reason: str, way_out: str = MEASURE_ANEW) -> None:
        super().__init__(f"{path}: cannot be read: {reason}; {way_out}")
        self.path = path
        self.reason = reason


def read_manifest(folder: Path) -> Manifest:
    """Read `folder/manifest.json`.

    Raises:
        ResultsFileError: it is missing, damaged, or of another version.
    """
    path = folder / MANIFEST_NAME
    with readable(path):
        manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    if manifest.schema_version != SCHEMA_VERSION:
        raise ResultsFileError(
            path,
            f"written by another version: it has schema version {manifest.schema_version}, this one reads "
            f"{SCHEMA_VERSION}",
        )
    return manifest


def read_frame(folder: Path, file: FrameFile, *, validate: bool = False) -> pl.DataFrame:
    """Read a frame with all columns of its schema in their types; a missing file gives an empty frame.

    Nullable columns that the file lacks are null, because they were not measured when it was written.

    Args:
        folder: the results folder.
        file: the frame.
        validate: check every value against the schema.

    Raises:
        ResultsFileError: the file is damaged, or lacks a required column.
    """
    path = folder / file.place
    if not path.is_file():
        return file.schema.create_empty()
    with readable(path, file.way_out):
        frame = pl.read_parquet(path.absolute(), glob=False)  # absolute, because polars expands a leading ~
        return (with_schema if validate else conform)(file.schema, frame)


def scan_frame(folder: Path, file: FrameFile) -> pl.LazyFrame | None:
    """Scan a frame that may be large; return None if the file is missing.

    A file whose columns differ from the current schema is read and converted. Damage in the data pages raises only
    when the result is collected.

    Raises:
        ResultsFileError: the file is damaged, or lacks a required column.
    """
    path = folder / file.place
    if not path.is_file():
        return None
    with readable(path, file.way_out):
        frame = pl.scan_parquet(path.absolute(), glob=False)
        stored = frame.collect_schema()
        if all(stored.get(name) == dtype for name, dtype in _types(file.schema).items()):
            return frame
    return read_frame(folder, file, validate=True).lazy()


@contextlib.contextmanager
def readable(path: Path, way_out: str = MEASURE_ANEW) -> Iterator[None]:
    """Convert the errors that libraries raise while `path` is read to `ResultsFileError`.

    Raises:
        ResultsFileError: the file cannot be read.
    """
    try:
        yield
    except _ERRORS as error:
        raise ResultsFileError(path, _reason(error), way_out) from error


@cache
def _types(schema: type[dy.Schema]) -> pl.Schema:
    """Return the types of a schema's columns; cached because it is slow and needed for every file."""
    return schema.create_empty().schema


def _reason(error: BaseException) -> str:
    """Return the relevant part of a library's error message, in one line."""
    if isinstance(error, pydantic.ValidationError):
        first = error.errors(include_url=False)[0]
        return ": ".join([*map(str, first["loc"]), first["msg"]])[:_MAX_CHARACTERS]
    if isinstance(error, dataframely.exc.ValidationError) and (broken := _broken_rules(str(error))):
        return "; ".join(broken[:_MAX_RULES])[:_MAX_CHARACTERS]
    if missing := _MISSING.search(str(error)):
        columns = missing[1].replace("'", "")
        return f"missing columns: {columns}"[:_MAX_CHARACTERS]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    kept = 1 if isinstance(error, pl.exceptions.PolarsError) else 3  # polars appends the query plan
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:kept])[:_MAX_CHARACTERS] if lines else type(error).__name__


def _broken_rules(report: str) -> list[str]:
    """Return the broken rules of a validation report in words: the column, the number of rows, the fault."""
    column, faults = "", []
    for line in report.splitlines():
        if heading := _COLUMN.search(line):
            column = f"column {heading[1]}: "
        if broken := _RULE.search(line):
            rule, rows = broken.groups()
            fault = _IN_WORDS.get(rule, f"a value that breaks the rule {rule}")
            faults.append(f"{column}{rows} row{'' if rows == '1' else 's'} with {fault}")
    return faults
