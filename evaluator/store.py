"""The results folder: every file appears whole or not at all, and what was finished stays readable."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import ValidationError

from evaluator.errors import RequestError
from evaluator.frames import SCHEMA_VERSION, Layers, Tokens, Variants, with_schema
from evaluator.manifest import MANIFEST_NAME, Manifest, read_manifest

_VARIANTS, _LAYERS, _TOKENS, _WORK = "variants.parquet", "layers.parquet", "tokens", "work"


class ResultsStore:
    """Writes one results folder. All writes are atomic: a partial file, then a rename."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, manifest: Manifest, *, force: bool) -> None:
        """Create the folder, or check that what is in it belongs to the same comparison.

        Raises:
            RequestError: the folder holds something else; nothing was touched.
        """
        if (self.folder / MANIFEST_NAME).is_file() and not force:
            self._check_same_comparison(manifest)
        elif self.folder.exists() and not self.folder.is_dir():
            raise RequestError(f"{self.folder}: is a file, not a folder; choose another --out")
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            self._clear(force=force)
        try:
            (self.folder / _TOKENS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(f"{self.folder}: cannot be created: {error.strerror or error}") from error
        self.write_manifest(manifest)

    def _check_same_comparison(self, manifest: Manifest) -> None:
        try:
            there = read_manifest(self.folder)
        except (ValidationError, ValueError) as error:
            raise RequestError(
                f"{self.folder}: its manifest cannot be read; use --force to replace it"
            ) from error
        if there.schema_version != SCHEMA_VERSION:
            raise RequestError(f"{self.folder}: written by another version; use --force to replace it")
        mine, theirs = _identity(manifest), _identity(there)
        for what, value in mine.items():
            if theirs[what] != value:
                raise RequestError(
                    f"{self.folder}: holds a comparison with another {what}; choose another --out or use --force"
                )

    def _clear(self, *, force: bool) -> None:
        """Remove an earlier comparison; never anything that is not one."""
        if not (self.folder / MANIFEST_NAME).is_file():
            raise RequestError(f"{self.folder}: is not empty and holds no results; choose another --out")
        if force:
            for name in (_TOKENS, _WORK):
                shutil.rmtree(self.folder / name, ignore_errors=True)
            for name in (_VARIANTS, _LAYERS, MANIFEST_NAME):
                (self.folder / name).unlink(missing_ok=True)

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace `manifest.json`."""
        text = manifest.model_dump_json(indent=2) + "\n"
        self._replace(MANIFEST_NAME, lambda path: path.write_text(text, encoding="utf-8"))

    def finished(self, variant_id: str, sha256: str) -> bool:
        """Whether this variant, with these very bytes, is already measured."""
        rows = self.variants().filter(pl.col("variant_id") == variant_id, pl.col("sha256") == sha256)
        return rows.height == 1 and self.tokens_path(variant_id).is_file()

    def variants(self) -> pl.DataFrame:
        """Rows measured so far."""
        path = self.folder / _VARIANTS
        return pl.read_parquet(path) if path.is_file() else Variants.create_empty()

    def tokens_path(self, variant_id: str) -> Path:
        """Where a variant's token frame lies."""
        return self.folder / _TOKENS / f"{variant_id}.parquet"

    def tokens(self, variant_id: str) -> pl.DataFrame:
        """A variant's token frame."""
        return pl.read_parquet(self.tokens_path(variant_id))

    def add(self, row: pl.DataFrame, tokens: pl.DataFrame, layers: pl.DataFrame | None) -> None:
        """Keep one measured variant: its tokens first, its row last, so that a row always has its tokens."""
        variant_id = str(row["variant_id"][0])
        self._write_frame(f"{_TOKENS}/{variant_id}.parquet", with_schema(Tokens, tokens))
        if layers is not None:
            self._merge(_LAYERS, layers, variant_id)
        self._merge(_VARIANTS, with_schema(Variants, row), variant_id)

    def _merge(self, name: str, rows: pl.DataFrame, variant_id: str) -> None:
        path = self.folder / name
        frames = [rows]
        if path.is_file():
            frames.insert(0, pl.read_parquet(path).filter(pl.col("variant_id") != variant_id))
        merged = pl.concat(frames, how="diagonal")
        schema = Layers if name == _LAYERS else Variants
        self._write_frame(name, with_schema(schema, merged))

    def _write_frame(self, name: str, frame: pl.DataFrame) -> None:
        self._replace(name, lambda path: frame.write_parquet(path, compression="zstd"))

    def _replace(self, name: str, write: Callable[[Path], object]) -> None:
        target = self.folder / name
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            write(partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def hidden_path(self, variant_id: str) -> Path:
        """Where a baseline's final hidden states are kept while its variants are measured."""
        return self.folder / _WORK / f"{variant_id}.hidden.npy"

    def discard_work(self) -> None:
        """Remove what only unfinished work needs."""
        shutil.rmtree(self.folder / _WORK, ignore_errors=True)


def _identity(manifest: Manifest) -> dict[str, object]:
    """What must agree for rows to be comparable."""
    texts = [(text.domain, text.sha256, text.windows) for text in manifest.texts]
    return {"baseline": manifest.baseline_sha256, "protocol": manifest.protocol, "set of texts": texts}


class HiddenStates:
    """A baseline's final hidden states on disk, float32 [windows, scored, hidden], mapped while in use.

    4 × hidden bytes per token determine its whole distribution. The array is written under a partial name and
    renamed when complete, so that what exists can be trusted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_suffix(".partial")
        self._writing: np.memmap[tuple[int, ...], np.dtype[np.float32]] | None = None

    def complete(self, shape: tuple[int, int]) -> bool:
        """Whether all windows are there; `shape` is (windows, scored)."""
        return self.path.is_file() and np.load(self.path, mmap_mode="r").shape[:2] == shape

    def put(self, index: int, n_windows: int, values: npt.NDArray[np.float32]) -> None:
        """Keep the hidden states of one window."""
        if self._writing is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            shape = (n_windows, *values.shape)
            self._writing = np.lib.format.open_memmap(self._partial, mode="w+", dtype=np.float32, shape=shape)
        self._writing[index] = values

    def seal(self) -> None:
        """Declare the array complete."""
        if self._writing is not None:
            self._writing.flush()
            self._writing = None
            self._partial.replace(self.path)

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        yield from np.load(self.path, mmap_mode="r")
