"""The files of a results folder: their names, what they hold, and when they are written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dataframely import Schema

from evaluator.results.schema import (
    Confidence,
    Domains,
    KvCache,
    Layers,
    Memory,
    Pairs,
    Speed,
    Tokens,
    Variants,
    Vocabulary,
)
from evaluator.support.paths import is_utf8
from evaluator.support.unfinished import PARTIAL

#: Remedies for a damaged file: one that only a new measurement restores, and one that the same run writes again.
MEASURE_ANEW = "replace it with an intact copy, or measure again with run --force"
DELETE_IT = "replace it with an intact copy, or delete it: the same run writes it again"


@dataclass(frozen=True)
class FrameFile:
    """A Parquet file of the folder.

    Attributes:
        place: path inside the folder.
        schema: schema of the frame.
        way_out: remedy for a damaged file.
    """

    place: str
    schema: type[Schema]
    way_out: str = DELETE_IT

    @property
    def name(self) -> str:
        """The file's name, without folders."""
        return Path(self.place).name


#: Written at the beginning and end of a run: see `evaluator.results.manifest`.
MANIFEST_NAME = "manifest.json"
#: A run adds rows to these after each variant.
VARIANTS = FrameFile("variants.parquet", Variants, MEASURE_ANEW)
LAYERS = FrameFile("layers.parquet", Layers)
SPEED = FrameFile("speed.parquet", Speed)
KV_CACHE = FrameFile("kv_cache.parquet", KvCache)
MEMORY = FrameFile("memory.parquet", Memory)
#: With several rows of a variant: measured in engines, and all of them.
OF_ENGINES = (SPEED, KV_CACHE, MEMORY)
OF_VARIANTS = (LAYERS, *OF_ENGINES)
#: Derived from the tokens of all variants at the end of a run.
DOMAINS = FrameFile("domains.parquet", Domains)
CONFIDENCE = FrameFile("confidence.parquet", Confidence)
PAIRS = FrameFile("pairs.parquet", Pairs)
DERIVED = (DOMAINS, CONFIDENCE, PAIRS)
#: Written at the beginning of a run, from the baseline's tokenizer.
VOCABULARY = FrameFile("vocabulary.parquet", Vocabulary)
#: All frames except the token frames.
FRAMES = (VARIANTS, *OF_VARIANTS, *DERIVED, VOCABULARY)
#: Folders of the token frames, one per variant, and of files that are needed only during a run.
TOKENS, WORK = "tokens", "work"
#: The lock of the run that writes to the folder, and the file with that run's process id and start.
LOCK_NAME, WRITER_NAME = ".lock", ".writer"

#: Files that file managers create in every folder they show.
_FILE_MANAGER_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
_NAMES = {MANIFEST_NAME, LOCK_NAME, WRITER_NAME, *(file.place for file in FRAMES)}


def tokens_of(variant_id: str) -> FrameFile:
    """Return the file of a variant's token frame, which is written before its row."""
    return FrameFile(f"{TOKENS}/{variant_id}.parquet", Tokens)


def why_unusable(folder: Path) -> str | None:
    """Return why a run cannot write into a folder, which need not exist; None if it can."""
    try:
        return _why_unusable(folder)
    except OSError as error:
        return f"cannot be accessed: {error.strerror or error}"


def _why_unusable(folder: Path) -> str | None:
    if not is_utf8(folder.absolute()):
        return "is not UTF-8"
    if folder.exists() and not folder.is_dir():
        return "is a file, not a folder"
    if not folder.is_dir():
        return None
    if not (folder / MANIFEST_NAME).is_file() and any(map(_is_foreign, folder.iterdir())):
        return "is not empty and holds no results"
    return None if os.access(folder, os.W_OK) else "is not writable"


def _is_foreign(path: Path) -> bool:
    """Return whether a file is neither one of a file manager nor a remnant of a killed run."""
    return path.name not in (*_FILE_MANAGER_FILES, LOCK_NAME, WRITER_NAME) and not path.name.endswith(PARTIAL)


def is_written(folder: Path, path: Path) -> bool:
    """Return whether runs with the results folder `folder` may write or remove `path`."""
    try:
        first, *below = path.resolve().relative_to(folder.resolve()).parts
    except ValueError:
        return False
    return first in (TOKENS, WORK) or (not below and first in _NAMES)
