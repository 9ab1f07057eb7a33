"""Every file of a results folder: its name, what it holds, and who writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dataframely import Schema

from evaluator.results.schema import (
    Confidence,
    Domains,
    Layers,
    Pairs,
    Speed,
    Tokens,
    Variants,
    Vocabulary,
)

#: What to do about a damaged file that nothing else can bring back, and about one that follows from others.
MEASURE_ANEW = "put a sound copy in its place, or measure anew with run --force"
DELETE_IT = "put a sound copy in its place, or delete it: the same run makes it anew"


@dataclass(frozen=True)
class FrameFile:
    """A Parquet file of the folder.

    Attributes:
        place: path inside the folder.
        schema: what a row is.
        way_out: what to do when it is damaged.
    """

    place: str
    schema: type[Schema]
    way_out: str = DELETE_IT

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return Path(self.place).name


#: Written when a run begins and ends: see `evaluator.results.manifest`.
MANIFEST_NAME = "manifest.json"
#: A run adds rows to these as it goes.
VARIANTS = FrameFile("variants.parquet", Variants, MEASURE_ANEW)
LAYERS = FrameFile("layers.parquet", Layers)
SPEED = FrameFile("speed.parquet", Speed)
#: Written once a run has scored everything, from the tokens of all variants.
DOMAINS = FrameFile("domains.parquet", Domains)
CONFIDENCE = FrameFile("confidence.parquet", Confidence)
PAIRS = FrameFile("pairs.parquet", Pairs)
DERIVED = (DOMAINS, CONFIDENCE, PAIRS)
#: Written when a run begins, from the baseline's tokenizer.
VOCABULARY = FrameFile("vocabulary.parquet", Vocabulary)
#: All frames but those of tokens.
FRAMES = (VARIANTS, LAYERS, SPEED, *DERIVED, VOCABULARY)
#: Folder of a frame per variant, and of what is only needed while a run goes on.
TOKENS, WORK = "tokens", "work"
#: Held by the run that writes here, and that run's process and start.
LOCK_NAME, WRITER_NAME = ".lock", ".writer"

_NAMES = {MANIFEST_NAME, LOCK_NAME, WRITER_NAME, *(file.place for file in FRAMES)}


def tokens_of(variant_id: str) -> FrameFile:
    """The frame of a variant's scored tokens, written before its row."""
    return FrameFile(f"{TOKENS}/{variant_id}.parquet", Tokens)


def is_written(folder: Path, path: Path) -> bool:
    """Whether `path` is, or lies in, something that runs into `folder` write or remove."""
    try:
        first, *below = path.resolve().relative_to(folder.resolve()).parts
    except ValueError:
        return False
    return first in (TOKENS, WORK) or (not below and first in _NAMES)
