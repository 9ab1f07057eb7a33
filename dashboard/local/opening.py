"""Open results folders while the dashboard runs: by their path, or from files that were dropped on the page."""

from __future__ import annotations

import lzma
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from dashboard.local import LocalError
from dashboard.results.folder import ResultsError
from dashboard.results.library import Library
from evaluator.results.files import FRAMES, MANIFEST_NAME, TOKENS

#: Most bytes of dropped files, before and after unpacking.
MOST_DROPPED = 4_000_000_000
_PLACES = {MANIFEST_NAME, *(file.place for file in FRAMES)}
_TOKEN_FILE = re.compile(r"[\w+-][\w+. -]*\.parquet")
_COPIED = 1 << 20
#: What reading a damaged ZIP raises, or one that is encrypted or packed in an unknown way.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
)


class Opening:
    """Adds folders to the library that is served; dropped files are kept until the server ends."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._kept: list[tempfile.TemporaryDirectory[str]] = []

    def folder(self, path: object) -> str:
        """Open a folder and return the name under which it is served.

        Raises:
            LocalError: it is not a results folder, or cannot be shown.

        """
        if not isinstance(path, str) or not path.strip() or "\0" in path:
            raise LocalError("which folder?")
        try:
            return self._add(Path(path.strip()).expanduser().absolute())
        except (OSError, RuntimeError) as error:
            raise LocalError(f"{path[:200]}: {error}") from error

    def with_variants(self, out: Path) -> str:
        """Return the name of a run's folder once a variant is in it, and an empty text before."""
        if not (out / MANIFEST_NAME).is_file():
            return ""
        try:
            name = self._library.add(out)
            return name if not self._library.at(name).measured.is_empty() else ""
        except ResultsError:
            return ""

    def dropped(self, files: Iterable[tuple[str, IO[bytes]]]) -> str:
        """Open dropped files and return the name of the folder.

        Args:
            files: paths as the browser tells them, and contents: files of a results folder, or one ZIP of them.

        Raises:
            LocalError: they are no results folder, damaged or too large, or the disk does not take them.

        """
        try:
            kept = tempfile.TemporaryDirectory(prefix="dropped-results-", ignore_cleanup_errors=True)
            try:
                title = _write(files, Path(kept.name))
                name = self._add(Path(kept.name) / title)
            except BaseException:
                kept.cleanup()
                raise
        except OSError as error:
            raise not_kept(error) from error
        self._kept.append(kept)
        return name

    def close(self) -> None:
        """Delete the dropped files."""
        for kept in self._kept:
            kept.cleanup()

    def _add(self, folder: Path) -> str:
        try:
            return self._library.add(folder)
        except ResultsError as error:
            raise LocalError(str(error)) from error


def not_kept(error: OSError) -> LocalError:
    """Return what to say if the disk does not take dropped files."""
    return LocalError(f"the files cannot be kept: {error.strerror or error}", 507)


def _write(files: Iterable[tuple[str, IO[bytes]]], target: Path) -> str:
    """Write the files that belong to a results folder into one below `target`, and return its name."""
    title, left = "", MOST_DROPPED
    seen: set[str] = set()
    for name, stream in _unpacked(files):
        place = place_of(name)
        if not place:
            continue
        if place in seen:
            raise LocalError(f"{place} is there twice; drop one results folder at a time")
        seen.add(place)
        title = title or _title(name, place)
        left -= _copy(_chunks(name, stream), target / title / place, left)
    if MANIFEST_NAME not in seen:
        raise LocalError(f"the files hold no {MANIFEST_NAME}; drop a whole results folder, or a ZIP of one")
    return title


def _unpacked(files: Iterable[tuple[str, IO[bytes]]]) -> Iterator[tuple[str, IO[bytes]]]:
    for name, stream in files:
        if not name.lower().endswith(".zip"):
            yield name, stream
            continue
        try:
            with zipfile.ZipFile(stream) as archive:
                for member in archive.infolist():
                    with archive.open(member) as unpacked:
                        yield f"{PurePosixPath(name).stem}/{member.filename}", unpacked
        except _UNREADABLE as error:
            raise LocalError(f"{name[:200]}: is not a readable ZIP: {error}") from error


def place_of(name: str) -> str:
    """Return where a file belongs in a results folder, empty if it does not belong into one.

    Only names that results folders have are used, so that no path leads out of the folder.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if len(parts) >= 2 and parts[-2] == TOKENS and _TOKEN_FILE.fullmatch(parts[-1]):
        return f"{TOKENS}/{parts[-1]}"
    return parts[-1] if parts and parts[-1] in _PLACES else ""


def _title(name: str, place: str) -> str:
    """Return the name of the folder around a file, in characters that every disk takes."""
    parts = PurePosixPath(name.replace("\\", "/")).parts[: -1 - place.count("/")]
    plain = re.sub(r"[^\w+ -]+", "-", parts[-1]).strip("-. ")[:80] if parts else ""
    return plain or "dropped"


def _chunks(name: str, source: IO[bytes]) -> Iterator[bytes]:
    try:
        while chunk := source.read(_COPIED):
            yield chunk
    except _UNREADABLE as error:
        raise LocalError(f"{name[:200]}: cannot be read: {error}") from error


def _copy(chunks: Iterable[bytes], target: Path, most: int) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    n_bytes = 0
    with target.open("xb") as file:
        for chunk in chunks:
            n_bytes += len(chunk)
            if n_bytes > most:
                raise LocalError(f"the files are larger than {MOST_DROPPED // 10**9} GB", 413)
            file.write(chunk)
    return n_bytes
