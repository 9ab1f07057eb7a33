"""Read the frames of a results folder, each once, and record which cannot be read."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import TypeVar

import polars as pl

from dashboard.results.memo import Memo
from dashboard.style.names import clean, clean_frame
from evaluator.results.files import (
    LAYERS,
    OF_ENGINES,
    PAIRS,
    VOCABULARY,
    FrameFile,
    tokens_of,
)
from evaluator.results.reader import ResultsFileError, read_frame, scan_frame

_T = TypeVar("_T")


class Frames:
    """Frames of one folder; `faults` maps the name of each unusable file to what is wrong with it."""

    def __init__(self, folder: Path) -> None:
        self.faults: dict[str, str] = {}
        self._folder = folder
        self._kept: Memo[object] = Memo()
        self._ids: list[str] | None = None

    def part(self, variant_ids: Iterable[str]) -> Frames:
        """Return the same frames with the rows of some variants; every file is still read once."""
        part = copy.copy(self)
        part._ids = sorted(variant_ids)
        return part

    def look_at_every_file(self, variant_ids: Iterable[str]) -> None:
        """Find unreadable files before the first page is drawn; only the columns of token frames are checked."""
        for file in (LAYERS, PAIRS, *OF_ENGINES, VOCABULARY):
            self.read(file)
        for variant_id in variant_ids:
            self.tokens(variant_id)

    def read(self, file: FrameFile) -> pl.DataFrame | None:
        """Return a frame, read once; None if it is absent, unreadable, or empty for these variants."""

        def read() -> pl.DataFrame | None:
            frame = self._guarded(lambda: read_frame(self._folder, file, validate=True))
            return None if frame is None or frame.is_empty() else clean_frame(frame)

        frame = self._memoized(file, read)
        if frame is None or self._ids is None or "variant_id" not in frame.columns:
            return frame
        own = frame.filter(pl.col("variant_id").is_in(self._ids))
        return None if own.is_empty() else own

    def tokens(self, variant_id: str) -> pl.LazyFrame | None:
        """Return a variant's scored tokens as a lazy frame; None if the file is absent or unreadable."""
        if Path(variant_id).name != variant_id:  # an untrusted folder may name files elsewhere
            return None
        file = tokens_of(variant_id)
        return self._memoized(file, lambda: self._guarded(lambda: scan_frame(self._folder, file)))

    def read_tokens(self, variant_id: str, *, keep: bool) -> pl.DataFrame | None:
        """Read a variant's scored tokens; with `keep`, cache them."""

        def read() -> pl.DataFrame | None:
            return self._guarded(lambda: read_frame(self._folder, tokens_of(variant_id)))

        if self.tokens(variant_id) is None:
            return None
        return self._memoized(("tokens", variant_id), read) if keep else read()

    def note(self, name: str, problem: str) -> None:
        """Record what is wrong with the file called `name`."""
        self.faults[name] = clean(f"{name} {problem}")

    def _guarded(self, read: Callable[[], _T]) -> _T | None:
        """Call `read`, or record why the file cannot be read."""
        try:
            return read()
        except ResultsFileError as error:
            self.note(error.path.name, f"cannot be read: {error.reason}")
            return None

    def _memoized(self, key: Hashable, compute: Callable[[], _T | None]) -> _T | None:
        return self._kept.get(key, compute)  # type: ignore[return-value]  # the key names the computation
