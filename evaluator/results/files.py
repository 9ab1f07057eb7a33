"""What lies where in a results folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dataframely import Schema

from evaluator.results.manifest import MANIFEST_NAME
from evaluator.results.schema import Confidence, Domains, Layers, Pairs, Speed, Variants
from evaluator.results.shared_folder import LOCK_NAME

VARIANTS, LAYERS, SPEED = "variants.parquet", "layers.parquet", "speed.parquet"
TOKENS, WORK = "tokens", "work"
#: Frames that rows are added to.
GROWING: Mapping[str, type[Schema]] = {VARIANTS: Variants, LAYERS: Layers, SPEED: Speed}
#: Frames that follow from the token frames of all variants.
DERIVED: Mapping[str, type[Schema]] = {"domains": Domains, "confidence": Confidence, "pairs": Pairs}
#: A frame of texts of tokens, which follow from the baseline.
VOCABULARY = "vocabulary"


def file_name(frame: str) -> str:
    """File of a frame."""
    return f"{frame}.parquet"


_NAMES = {MANIFEST_NAME, LOCK_NAME, *GROWING, *map(file_name, (*DERIVED, VOCABULARY))}


def is_written(folder: Path, path: Path) -> bool:
    """Whether `path` is, or lies in, something that runs into `folder` write or remove."""
    try:
        first, *below = path.resolve().relative_to(folder.resolve()).parts
    except ValueError:
        return False
    return first in (TOKENS, WORK) or (not below and first in _NAMES)
