"""Open a model by its path, whatever its format."""

from __future__ import annotations

from pathlib import Path

from evaluator.models.checkpoint.folder import open_checkpoint
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.gguf.split import is_part, open_split
from evaluator.models.model_file import ModelFile
from evaluator.models.sources.companions import companion_on_disk
from evaluator.support.errors import SourceError


def open_model(path: Path) -> ModelFile:
    """Open a GGUF file, a split model by any of its parts, or a folder with a Hugging Face checkpoint.

    Raises:
        SourceError: it cannot be read, contradicts itself, or is no language model.
    """
    if path.is_dir():
        return open_checkpoint(path)
    if what := companion_on_disk(path):
        raise SourceError(path, f"is {what}, not a language model")
    return open_split(path) if is_part(path) else open_gguf(path)
