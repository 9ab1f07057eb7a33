"""The longest window that an exported model takes."""

from __future__ import annotations

from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError


def longest_context(file: ModelFile) -> int:
    """Return how many positions an exported model has room for.

    Raises:
        SourceError: the file does not state its context.
    """
    key = f"{file.architecture}.context_length"
    context = file.require(key)
    if not isinstance(context, int) or context <= 0:
        raise SourceError(file.path, f"metadata key {key} is {context}, not a number of positions")
    return context
