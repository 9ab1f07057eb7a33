"""Read and write llama-quantize's tensor type files: PATTERN=TYPE, split by white space; the first match decides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.model_file import ModelFile
from evaluator.quantize.ggml import ggml_type
from evaluator.quantize.recipe import Choice, choices
from evaluator.quantize.recipe_file import read_file
from evaluator.support.errors import RequestError, SourceError

#: The recipe whose mixtures the patterns of a file override.
_BASE = "main"


def choices_with(path: Path) -> Mapping[str, Choice]:
    """Return the stock mixtures, overridden by the tensor types of a file, by label.

    Raises:
        RequestError: the file cannot be read or an entry is wrong; the message names it.
    """
    entries = tuple(_entry(path, item) for item in read_file(path).split())
    if not entries:
        raise RequestError(f"{path}: contains no PATTERN=TYPE")
    changes = {"recipe": path.stem, "overrides": entries}
    return {label: choice.model_copy(update=changes) for label, choice in choices(_BASE).items()}


def _entry(path: Path, item: str) -> tuple[str, GGMLType]:
    pattern, separator, name = item.partition("=")
    if not pattern or not separator:
        raise RequestError(f"{path}: {item!r} does not have the form PATTERN=TYPE")
    lowered = pattern.lower()  # as llama-quantize does
    try:
        re.compile(lowered)
        return lowered, ggml_type(name)
    except (ValueError, re.error) as error:
        raise RequestError(f"{path}: {item}: {error}") from None


def tensor_type_lines(file: ModelFile) -> list[str]:
    """Return a line per matrix of `file` with its type, for llama-quantize's `--tensor-type-file` or `--recipe`.

    Vectors are left out because no tool quantizes them.

    Raises:
        SourceError: a tensor's name cannot be written in such a file.
    """
    matrices = [info for info in file.tensors.values() if len(info.shape) > 1]
    for info in matrices:
        if "=" in info.name or " " in info.name or not info.name.isprintable():
            raise SourceError(
                file.path, f"tensor {info.name[:80]!r}: its name cannot be written in a file of tensor types"
            )
    return [f"^{re.escape(info.name)}$={info.ggml_type.name.lower()}" for info in matrices]
