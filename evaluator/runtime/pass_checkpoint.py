"""Keep the state of an unfinished pass on disk, so that a killed run continues at the last finished layer."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from pydantic import BaseModel, ValidationError

from evaluator.runtime.streams import Streams
from evaluator.support.atomic_files import whole_file

Observed = Mapping[str, Any]
#: Seconds of work that a kill may cost: writing the streams takes seconds.
_WORTH_SAVING = 60.0
#: What follows the name of a pass in its files.
_OWN = re.compile(r"pass\.json|streams-[01]|\d+\.(streams|npz)")


class _Record(BaseModel):
    """What a checkpoint's file says: what was run, how many pieces are done, and the files that hold the state.

    `n_bytes` is the size of the file of streams.
    """

    identity: str
    done: int
    streams: str
    n_bytes: int
    observed: str


@dataclass(frozen=True)
class Resumed:
    """A pass's state: number of finished pieces, file of the streams, and what an observer had gathered."""

    done: int
    streams: Path
    observed: Observed


class PassCheckpoint:
    """The checkpoint of one pass, in files `NAME.*` of a folder.

    The record is replaced last, so it always names complete files.
    """

    def __init__(self, folder: Path, name: str, identity: str, interval: float = _WORTH_SAVING) -> None:
        """Start the clock.

        Args:
            folder: where the files are.
            name: prefix of the files.
            identity: everything the pass depends on; a checkpoint with another identity is ignored.
            interval: seconds between checkpoints of streams that have to be written for it.
        """
        self._folder, self._name, self._identity, self._interval = folder, name, identity, interval
        self._record = folder / f"{name}.pass.json"
        self._saved = time.monotonic()

    @property
    def stream_files(self) -> tuple[Path, Path]:
        """The files of streams on disk."""
        return (self._folder / f"{self._name}.streams-0", self._folder / f"{self._name}.streams-1")

    def load(self) -> Resumed | None:
        """Return the state of an earlier run of the same pass, None if there is none.

        Any other state is removed: a new pass writes to the files that its record names.
        """
        resumed = self._load()
        if resumed is None:
            self._remove(keep=set(self.stream_files))
        return resumed

    def _load(self) -> Resumed | None:
        try:
            record = _Record.model_validate_json(self._record.read_bytes())
            if record.identity != self._identity:
                return None
            with np.load(self._folder / Path(record.observed).name, allow_pickle=False) as arrays:
                observed = dict(arrays)
            streams = self._folder / Path(record.streams).name
            intact = streams.stat().st_size == record.n_bytes
        except (OSError, EOFError, ValidationError, ValueError, BadZipFile):
            return None
        return Resumed(record.done, streams, observed) if intact else None

    def save(self, done: int, streams: Streams, observed: Observed) -> None:
        """Save the state after `done` pieces, unless the last checkpoint is recent and saving takes time.

        A full disk stops only passes whose streams are on it: others do without the checkpoint, or keep the last one.

        Raises:
            OSError: the disk is full.
        """
        if streams.saves_itself:
            self._save(done, streams, observed)
        elif time.monotonic() - self._saved >= self._interval:
            with contextlib.suppress(OSError):
                self._save(done, streams, observed)
            self._saved = time.monotonic()

    def _save(self, done: int, streams: Streams, observed: Observed) -> None:
        held = streams.save(self._folder / f"{self._name}.{done}.streams")
        gathered = self._folder / f"{self._name}.{done}.npz"
        with whole_file(gathered) as partial, partial.open("wb") as file:
            np.savez(file, **observed)
        record = _Record(
            identity=self._identity,
            done=done,
            streams=held.name,
            n_bytes=held.stat().st_size,
            observed=gathered.name,
        )
        with whole_file(self._record) as partial:
            partial.write_text(json.dumps(record.model_dump()), encoding="utf-8")
        written = self.stream_files if streams.saves_itself else ()
        self._remove(keep={self._record, held, gathered, *written})

    def remove(self) -> None:
        """Remove all files of the pass."""
        self._remove(keep=set())

    def _remove(self, keep: set[Path]) -> None:
        """Remove the files of the pass, not those of a variant whose name begins with the same words."""
        for path in self._folder.glob(f"{self._name}.*"):
            if path not in keep and _OWN.fullmatch(path.name.removeprefix(f"{self._name}.")):
                path.unlink(missing_ok=True)
