"""Write a results folder: files are written atomically, and finished results stay readable."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
from filelock import FileLock, Timeout

from evaluator.results.beginning import begin
from evaluator.results.clearing import write_frame
from evaluator.results.files import (
    DERIVED,
    LAYERS,
    LOCK_NAME,
    MANIFEST_NAME,
    OF_ENGINES,
    SPEED,
    TOKENS,
    VARIANTS,
    VOCABULARY,
    WORK,
    WRITER_NAME,
    FrameFile,
    tokens_of,
    why_unusable,
)
from evaluator.results.hidden_states import HiddenStates
from evaluator.results.layer_rows import attributed, measured_matrices
from evaluator.results.manifest import Failure, Manifest, joined
from evaluator.results.reader import ResultsFileError, read_frame
from evaluator.results.schema import FIRST_ENGINE, IN_ENGINES, Layers, conform
from evaluator.support.atomic_files import scratch_beside, whole_file
from evaluator.support.errors import RequestError

_ATTRIBUTED = "attribution_additivity"


class ResultsStore:
    """A results folder, locked against other writers within `with`; call `prepare` before other methods.

    A folder may hold several models. `manifest` is that of the prepared one, frames have the rows of all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest
        self._lock = FileLock(folder / LOCK_NAME)
        self._is_new = False
        self._before: list[Manifest] = []
        self._after: list[Manifest] = []

    def __enter__(self) -> ResultsStore:
        """Create the folder if necessary and lock it; the system releases the lock if the process dies.

        Raises:
            RequestError: another run is writing to it, or it is not a writable folder.
        """
        if reason := why_unusable(self.folder):
            raise RequestError(f"{self.folder}: {reason}; choose another --out")
        self._is_new = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(f"{self.folder}: cannot be created: {error.strerror or error}") from error
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise RequestError(
                f"{self.folder}: another run is writing here{self._writer()}; wait for it, or choose another --out"
            ) from None
        since = f"pid {os.getpid()} since {datetime.now():%Y-%m-%d %H:%M}"
        (self.folder / WRITER_NAME).write_text(since, encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock; remove a folder that this run created if no run was started in it."""
        (self.folder / WRITER_NAME).unlink(missing_ok=True)
        started = (self.folder / MANIFEST_NAME).is_file()
        with contextlib.suppress(OSError):
            if not started:
                (self.folder / LOCK_NAME).unlink()
            if not started and self._is_new:
                self.folder.rmdir()
        self._lock.release()

    def _writer(self) -> str:
        with contextlib.suppress(OSError):
            return f" ({(self.folder / WRITER_NAME).read_text(encoding='utf-8')})"
        return ""

    def prepare(self, manifest: Manifest, *, force: bool) -> None:
        """Start a comparison in the folder, continue the same one, or add one of another model.

        Another comparison of the same model is replaced if it measured nothing, or with `force`.

        Raises:
            RequestError: the folder holds another comparison of this model, or one with windows of another length,
                or is damaged; nothing was changed.
        """
        self._before, own, self._after = begin(self.folder, manifest, force=force)
        self._write_manifest(own)
        (self.folder / TOKENS).mkdir(exist_ok=True)

    def update_manifest(self, **changes: object) -> None:
        """Change fields of the manifest."""
        self._write_manifest(self.manifest.model_copy(update=changes))

    def _write_manifest(self, manifest: Manifest) -> None:
        whole = joined([*self._before, manifest, *self._after])
        with whole_file(self.folder / MANIFEST_NAME) as partial:
            partial.write_text(whole.model_dump_json(indent=2) + "\n", encoding="utf-8")
        self.manifest = manifest

    def finish(self, ended: datetime, failures: Collection[Failure], planned: Collection[str]) -> None:
        """End a run of the `planned` sources; earlier failures of other sources are kept.

        They are not if the file is gone from a folder that this run took others from: it was renamed or replaced.
        """
        folders = {Path(source).parent for source in planned}
        kept = [
            failure
            for failure in self.manifest.failures
            if failure.source not in planned
            and (Path(failure.source).parent not in folders or os.path.lexists(failure.source))
        ]
        self.update_manifest(ended=ended, failures=[*kept, *failures])
        shutil.rmtree(self.folder / WORK, ignore_errors=True)

    def finished(self, variant_id: str, sha256: str) -> bool:
        """Return whether this variant was already measured from a file with this digest."""
        rows = self.variants().filter(pl.col("variant_id") == variant_id, pl.col("sha256") == sha256)
        return rows.height == 1 and self._has_tokens(variant_id)

    def variants(self) -> pl.DataFrame:
        """Return the rows of the variants measured so far."""
        return self._read(VARIANTS)

    def measured(self, model: str | None = None) -> dict[str, tuple[str, str]]:
        """Return variant → file name and SHA-256 of the measured file, of all models or one."""
        rows = self.variants().iter_rows(named=True)
        return {
            row["variant_id"]: (row["source"], row["sha256"]) for row in rows if model in (None, row["model"])
        }

    def _compared(self) -> set[str]:
        """Return the variants that are compared with a baseline."""
        return set(self.variants().filter(~pl.col("is_baseline"))["variant_id"])

    def _read(self, file: FrameFile) -> pl.DataFrame:
        return read_frame(self.folder, file)

    def tokens(self, variant_id: str) -> pl.DataFrame:
        """Return a variant's token frame.

        Raises:
            ResultsFileError: it is damaged.
        """
        return self._read(tokens_of(variant_id))

    def without_tokens(self) -> set[str]:
        """Return the measured variants whose token frame is missing or cannot be read."""
        return {
            variant_id for variant_id in self.variants()["variant_id"] if not self._has_tokens(variant_id)
        }

    def _has_tokens(self, variant_id: str) -> bool:
        try:
            return not self.tokens(variant_id).is_empty()
        except ResultsFileError:
            return False

    def add(self, row: pl.DataFrame, tokens: pl.DataFrame, layers: pl.DataFrame | None) -> None:
        """Store a measured variant: its tokens first, its row last, so that every row has its tokens.

        What an earlier measurement of the same file found besides is kept, that of another removed.
        """
        variant_id = str(row["variant_id"][0])
        same = self.variants().filter(variant_id=variant_id, sha256=row["sha256"][0])
        for file in OF_ENGINES:
            if same.is_empty() and variant_id in self._read(file)["variant_id"]:
                self.replace_rows(file, file.schema.create_empty(), variant_id)
        if layers is None and same.is_empty() and self.rows(LAYERS, variant_id).height:
            layers = Layers.create_empty()
        self.write({tokens_of(variant_id): tokens})
        if layers is not None:
            earlier = self.rows(LAYERS, variant_id) if same.height else Layers.create_empty()
            self.replace_rows(LAYERS, attributed(layers, earlier), variant_id)
        if same.height:
            row = row.with_columns(same.select(*IN_ENGINES, _ATTRIBUTED))
        self.replace_rows(VARIANTS, row, variant_id)

    def replace_rows(self, file: FrameFile, rows: pl.DataFrame, variant_id: str) -> None:
        """Replace a variant's rows in a frame."""
        others = self._read(file).filter(pl.col("variant_id") != variant_id)
        self.write({file: pl.concat([others, conform(file.schema, rows)], how="diagonal")})

    def without_layers(self) -> set[str]:
        """Return the variants whose layers are not measured, the baseline excluded."""
        return self._compared().difference(measured_matrices(self._read(LAYERS))["variant_id"])

    def unattributed(self) -> set[str]:
        """Return the variants without any attribution, the baseline excluded."""
        return self._compared().difference(self._read(LAYERS).drop_nulls("attribution_kld")["variant_id"])

    def untimed(self, engine: str = FIRST_ENGINE, column: str = "decode_ms_p50") -> set[str]:
        """Return the variants whose speed column is null or whose timings in an engine are missing."""
        timed = self._read(SPEED).filter(engine=engine)["variant_id"]
        return self.without(column).union(set(self.variants()["variant_id"]).difference(timed))

    def without(self, column: str) -> set[str]:
        """Return the variants of whose row a column is null."""
        return set(self.variants().filter(pl.col(column).is_null())["variant_id"])

    def timings(self, variant_id: str, engine: str = FIRST_ENGINE) -> pl.DataFrame:
        """Return a variant's rows of the speed frame for an engine."""
        return self.rows(SPEED, variant_id).filter(engine=engine)

    def next_round(self) -> int:
        """Return the number of the first round that nothing in the folder was timed in."""
        return max((number + 1 for number in self._read(SPEED)["round"].drop_nulls().unique()), default=0)

    def add_timings(
        self, variant_id: str, timings: pl.DataFrame, engine: str = FIRST_ENGINE, in_round: int = 0
    ) -> None:
        """Add timings of a round in an engine; repetitions are numbered within each phase, in order."""
        earlier = self.rows(SPEED, variant_id).with_columns(pl.col("phase").cast(pl.String))
        new = timings.with_columns(engine=pl.lit(engine), round=pl.lit(in_round, pl.UInt32))
        rows = pl.concat([earlier.select(new.columns), new], how="vertical_relaxed")
        number = pl.int_range(pl.len()).over("engine", "phase")
        named = rows.with_columns(pl.lit(variant_id).alias("variant_id"), number.alias("repetition"))
        self.replace_rows(SPEED, named, variant_id)

    def drop_timings(self, variant_id: str, engine: str) -> bool:
        """Remove a variant's rows of the speed frame for an engine; return whether there were any."""
        rows = self.rows(SPEED, variant_id)
        kept = rows.filter(pl.col("engine") != engine)
        if found := kept.height < rows.height:
            self.replace_rows(SPEED, kept, variant_id)
        return found

    def rows(self, file: FrameFile, variant_id: str) -> pl.DataFrame:
        """Return a variant's rows of a frame."""
        return self._read(file).filter(pl.col("variant_id") == variant_id)

    def add_rows(self, file: FrameFile, variant_id: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Add rows of a variant to a frame; those with the same key are replaced."""
        named = [{"variant_id": variant_id, **row} for row in rows]
        new = conform(file.schema, pl.DataFrame(named, infer_schema_length=None))
        others = self.rows(file, variant_id).join(new, on=file.schema.primary_key(), how="anti")
        self.replace_rows(file, pl.concat([others, new], how="diagonal"), variant_id)

    def set_columns(self, variant_id: str, values: Mapping[str, float | int]) -> None:
        """Replace values in a variant's row."""
        row = self.variants().filter(variant_id=variant_id)
        self.replace_rows(VARIANTS, row.with_columns(**values), variant_id)

    def write(self, frames: Mapping[FrameFile, pl.DataFrame]) -> None:
        """Validate frames and write them, in order, each atomically."""
        for file, frame in frames.items():
            write_frame(self.folder, file, frame)

    def write_vocabulary(self, pieces: pl.DataFrame) -> None:
        """Replace the prepared model's tokens in the frame of their texts; a damaged frame is written anew."""
        others = [item.model for item in (*self._before, *self._after)]
        kept: pl.DataFrame = VOCABULARY.schema.create_empty()
        with contextlib.suppress(ResultsFileError):
            kept = self._read(VOCABULARY).filter(pl.col("model").is_in(others))
        self.write({VOCABULARY: pl.concat([kept, conform(VOCABULARY.schema, pieces)])})

    def derived_after_tokens(self) -> bool:
        """Return whether all frames derived from the token frames exist and are at least as new as those."""
        frames = [self.folder / file.place for file in DERIVED]
        tokens = [path.stat().st_mtime_ns for path in (self.folder / TOKENS).glob("*.parquet")]
        return all(path.is_file() and path.stat().st_mtime_ns >= max(tokens, default=0) for path in frames)

    def derived(self) -> list[pl.DataFrame]:
        """Return the frames that are derived from the token frames."""
        return [self._read(file) for file in DERIVED]

    @property
    def work(self) -> Path:
        """The folder of files that are needed only until the run ends."""
        return self.folder / WORK

    def hidden_states(self, variant_id: str) -> HiddenStates:
        """Return the storage of a baseline's final hidden states."""
        return HiddenStates(self.folder / WORK / f"{variant_id}.hidden.npy")

    @contextlib.contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Make a folder for temporary files, removed when the block ends, or by the next run after a kill."""
        (self.folder / WORK).mkdir(exist_ok=True)
        with scratch_beside(self.folder / WORK / name) as folder:
            yield folder
