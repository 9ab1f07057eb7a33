"""The results folder: every file appears whole or not at all, and what was finished stays readable."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import polars as pl
from dataframely import Schema

from evaluator.results.files import DERIVED, GROWING, LAYERS, SPEED, TOKENS, VARIANTS, WORK, file_name
from evaluator.results.frame_files import DELETE_IT, MEASURE_ANEW, read_frame
from evaluator.results.hidden_states import HiddenStates
from evaluator.results.manifest import (
    MANIFEST_NAME,
    Manifest,
    NoiseFloor,
    OtherComparisonError,
    Precision,
    kept,
    read_manifest,
    same_comparison,
    witnessed,
)
from evaluator.results.schema import TIMED, Layers, Speed, Tokens, Variants, with_schema
from evaluator.results.shared_folder import SharedFolder, partial_path
from evaluator.support.errors import RequestError

_ATTRIBUTED = "attribution_additivity"


class ResultsStore:
    """Writes one results folder. All writes are atomic: a partial file, then a rename."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shared = SharedFolder(folder)

    def prepare(self, manifest: Manifest, *, force: bool) -> None:
        """Create the folder, or check that what is in it belongs to the same comparison.

        What a comparison left behind that measured nothing gives way to another one. From here on, other processes
        see that this one is at work in the folder; see `release`.

        Raises:
            RequestError: the folder holds something else, or is damaged; nothing was touched.
        """
        self.check_usable()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(f"{self.folder}: cannot be created: {error.strerror or error}") from error
        with self._shared.locked():
            if (self.folder / MANIFEST_NAME).is_file():
                if force:
                    self._clear()
                else:
                    for name, schema in GROWING.items():
                        self._read(name, schema)  # what is added to them later is worth hours
                    manifest = self._going_on(manifest)
            self._shared.claim()
            self._shared.sweep()
            self.write_manifest(manifest)
            (self.folder / TOKENS).mkdir(exist_ok=True)

    def _going_on(self, manifest: Manifest) -> Manifest:
        """`manifest` with what it takes over from the one that is there."""
        try:
            there = same_comparison(self.folder, manifest)
        except OtherComparisonError:
            if self.variants().height or self._shared.others_at_work():
                raise
            self._clear()
            return manifest
        return manifest.model_copy(update=kept(there, manifest, ()) | witnessed(there))

    def release(self) -> None:
        """Say that this process is at work in the folder no longer."""
        self._shared.release()

    def check_usable(self) -> None:
        """Check that results may be written here, before anything is fetched or measured; changes nothing.

        Raises:
            RequestError: the folder is a file, holds something else, or is not to be written to.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise RequestError(f"{self.folder}: is a file, not a folder; choose another --out")
        if not self.folder.is_dir():
            return
        if not (self.folder / MANIFEST_NAME).is_file() and self._shared.foreign():
            raise RequestError(f"{self.folder}: is not empty and holds no results; choose another --out")
        if not os.access(self.folder, os.W_OK):
            raise RequestError(f"{self.folder}: may not be written to; choose another --out")

    def _clear(self) -> None:
        """Remove an earlier comparison, but for its manifest, by which the folder is known."""
        for name in (TOKENS, WORK):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in (VARIANTS, LAYERS, SPEED, *map(file_name, DERIVED)):
            (self.folder / name).unlink(missing_ok=True)

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace `manifest.json`."""
        text = manifest.model_dump_json(indent=2) + "\n"
        self._shared.replace(MANIFEST_NAME, lambda path: path.write_text(text, encoding="utf-8"))

    def witness(self, manifest: Manifest) -> None:
        """Say with what, and on what, measuring goes on from here."""
        with self._shared.locked():
            there = read_manifest(self.folder)
            self.write_manifest(there.model_copy(update=witnessed(manifest)))

    def finish(self, manifest: Manifest, planned: Collection[str]) -> None:
        """Replace `manifest.json` at the end of a run that took care of the `planned` sources.

        What other runs into the same folder could not measure stays in it, and so does when the first began, and
        what measured: a run that found everything there has not.
        """
        with self._shared.locked():
            there = read_manifest(self.folder)
            taken_over = kept(there, manifest, planned) | witnessed(there)
            self.write_manifest(manifest.model_copy(update=taken_over))

    def noise_floor(self) -> NoiseFloor | None:
        """What an earlier run of the same comparison found; None where there is none to be read.

        Where no baseline was measured it is none of this comparison's.
        """
        try:
            return read_manifest(self.folder).noise_floor if self.variants().height else None
        except (OSError, ValueError):  # `prepare` says what is wrong with it
            return None

    def precision(self, device: str, chosen: Precision | None = None) -> Precision | None:
        """What the rows of a device are measured in; if nobody has said so yet, `chosen` is kept from now on."""
        with self._shared.locked():
            there = read_manifest(self.folder)
            if chosen and device not in there.precisions:
                there = there.model_copy(update={"precisions": there.precisions | {device: chosen}})
                self.write_manifest(there)
        return there.precisions.get(device)

    def finished(self, variant_id: str, sha256: str) -> bool:
        """Whether this variant, with these very bytes, is already measured."""
        rows = self.variants().filter(pl.col("variant_id") == variant_id, pl.col("sha256") == sha256)
        return rows.height == 1 and self._has_tokens(variant_id)

    def variants(self) -> pl.DataFrame:
        """Rows measured so far."""
        return self._read(VARIANTS, Variants)

    def measured(self) -> dict[str, tuple[str, str]]:
        """Variant → file name and SHA-256 of what was measured."""
        rows = self.variants().iter_rows(named=True)
        return {row["variant_id"]: (row["source"], row["sha256"]) for row in rows}

    def _compared(self) -> set[str]:
        """Variants that are compared with a baseline."""
        return set(self.variants().filter(~pl.col("is_baseline"))["variant_id"])

    def _read(self, name: str, schema: type[Schema]) -> pl.DataFrame:
        """A frame of the folder, empty before it is there.

        Raises:
            RequestError: it is damaged.
        """
        path = self.folder / name
        way_out = MEASURE_ANEW if name == VARIANTS else DELETE_IT
        return read_frame(path, schema, way_out) if path.is_file() else schema.create_empty()

    def tokens_path(self, variant_id: str) -> Path:
        """Where a variant's token frame lies."""
        return self.folder / TOKENS / f"{variant_id}.parquet"

    def tokens(self, variant_id: str) -> pl.DataFrame:
        """A variant's token frame.

        Raises:
            RequestError: it is damaged.
        """
        return read_frame(self.tokens_path(variant_id), Tokens, DELETE_IT)

    def without_tokens(self) -> set[str]:
        """Measured variants whose token frame is not there or cannot be read."""
        return {
            variant_id for variant_id in self.variants()["variant_id"] if not self._has_tokens(variant_id)
        }

    def _has_tokens(self, variant_id: str) -> bool:
        try:
            self.tokens(variant_id)
        except (FileNotFoundError, RequestError):
            return False
        return True

    def add(self, row: pl.DataFrame, tokens: pl.DataFrame, layers: pl.DataFrame | None) -> None:
        """Keep one measured variant: its tokens first, its row last, so that a row always has its tokens.

        What else is known of the same file, measured before, stays; of a file that this one replaces it is dropped.
        """
        variant_id = str(row["variant_id"][0])
        same = self.variants().filter(variant_id=variant_id, sha256=row["sha256"][0])
        if same.is_empty() and self.timings(variant_id).height:
            self._merge(SPEED, Speed.create_empty(), variant_id)
        if layers is None and same.is_empty() and self.layers(variant_id).height:
            layers = Layers.create_empty()
        self._write_frame(f"{TOKENS}/{variant_id}.parquet", with_schema(Tokens, tokens))
        if layers is not None:
            self._merge(LAYERS, layers, variant_id)
        if same.height:
            row = row.with_columns(same.select(*TIMED, *((_ATTRIBUTED,) if layers is None else ())))
        self._merge(VARIANTS, with_schema(Variants, row), variant_id)

    def _merge(self, name: str, rows: pl.DataFrame, variant_id: str) -> None:
        path = self.folder / name
        with self._shared.locked():
            frames = [rows]
            if path.is_file():
                frames.insert(0, self._read(name, GROWING[name]).filter(pl.col("variant_id") != variant_id))
            self._write_frame(name, with_schema(GROWING[name], pl.concat(frames, how="diagonal")))

    def layers(self, variant_id: str) -> pl.DataFrame:
        """A variant's rows of the layers frame."""
        return self._read(LAYERS, Layers).filter(pl.col("variant_id") == variant_id)

    def without_layers(self) -> set[str]:
        """Variants of whose layers nothing is known; the baseline never has any."""
        return self._compared().difference(self._read(LAYERS, Layers)["variant_id"])

    def replace_layers(self, variant_id: str, rows: pl.DataFrame) -> None:
        """Replace a variant's rows of the layers frame."""
        self._merge(LAYERS, rows, variant_id)

    def unattributed(self) -> set[str]:
        """Variants none of whose tensors has an attribution; the baseline never has one."""
        done = self._read(LAYERS, Layers).drop_nulls("attribution_kld")["variant_id"]
        return self._compared().difference(done)

    def untimed(self) -> set[str]:
        """Variants whose speed columns are null, or whose timings are gone."""
        timed = self.variants().drop_nulls("decode_ms_p50")["variant_id"]
        return set(self.variants()["variant_id"]) - set(timed).intersection(self._timings()["variant_id"])

    def _timings(self) -> pl.DataFrame:
        return self._read(SPEED, Speed)

    def timings(self, variant_id: str) -> pl.DataFrame:
        """A variant's rows of the speed frame."""
        return self._timings().filter(pl.col("variant_id") == variant_id)

    def add_timings(self, variant_id: str, timings: pl.DataFrame) -> None:
        """Keep another round; within each phase, repetitions are numbered in the order they come."""
        with self._shared.locked():  # between reading and writing, another run may keep a round of its own
            earlier = self.timings(variant_id).with_columns(pl.col("phase").cast(pl.String))
            rows = pl.concat([earlier.select(timings.columns), timings], how="vertical_relaxed")
            number = pl.int_range(pl.len()).over("phase")
            named = rows.with_columns(pl.lit(variant_id).alias("variant_id"), number.alias("repetition"))
            self._merge(SPEED, with_schema(Speed, named), variant_id)

    def set_columns(self, variant_id: str, values: Mapping[str, float | int]) -> None:
        """Replace values in a variant's row."""
        columns = {name: pl.lit(value) for name, value in values.items()}
        with self._shared.locked():
            row = self.variants().filter(pl.col("variant_id") == variant_id)
            self._merge(VARIANTS, with_schema(Variants, row.with_columns(**columns)), variant_id)

    def write_derived(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Replace frames that follow from others, by name; those of several runs do not mix."""
        with self._shared.locked():
            for name, frame in frames.items():
                self._write_frame(file_name(name), frame)

    def derived_after_tokens(self) -> bool:
        """Whether all frames that follow from the token frames are there, none older than one of those."""
        frames = [self.folder / file_name(name) for name in DERIVED]
        tokens = [path.stat().st_mtime_ns for path in (self.folder / TOKENS).glob("*.parquet")]
        return all(path.is_file() and path.stat().st_mtime_ns >= max(tokens, default=0) for path in frames)

    def derived(self, name: str) -> pl.DataFrame:
        """One of the frames that follow from the token frames, by name."""
        return self._read(file_name(name), DERIVED[name])

    def _write_frame(self, name: str, frame: pl.DataFrame) -> None:
        # Through memory: polars reports a full disk as an error of its own, plain writes as OSError.
        content = io.BytesIO()
        frame.write_parquet(content, compression="zstd")
        self._shared.replace(name, lambda path: path.write_bytes(content.getbuffer()))

    def hidden_states(self, variant_id: str) -> HiddenStates:
        """A baseline's final hidden states, kept while its variants are measured."""
        return HiddenStates(self.folder / WORK / f"{variant_id}.hidden.npy")

    @contextlib.contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """A folder for what only this run needs, removed at the end; a killed run's is swept by the next one."""
        folder = partial_path(self.folder / WORK / name)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def discard_work(self, hidden: HiddenStates) -> None:
        """Remove what only unfinished work of this run needs."""
        hidden.discard()
        with contextlib.suppress(OSError):  # other runs still work there
            (self.folder / WORK).rmdir()
