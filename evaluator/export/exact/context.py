"""The longest window that an exported model takes, and the memory that its tables take."""

from __future__ import annotations

from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import rotary_inputs
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import ExportError, SourceError
from evaluator.support.memory import free_memory
from evaluator.support.units import GIGABYTE

#: While a table is computed, about as much as all tables take is needed once more.
_WHILE_COMPUTED = 2


def longest_context(file: ModelFile) -> int:
    """Return how many positions an exported model has room for.

    Raises:
        SourceError: the file does not state its context.
    """
    key = _key(file)
    context = file.require(key)
    if not isinstance(context, int) or context <= 0:
        raise SourceError(file.path, f"metadata key {key} is {context}, not a number of positions")
    return context


def check_tables_fit(file: ModelFile, graph: Graph) -> None:
    """Check that there is memory for the cosines and sines of all positions, which a wrong context makes huge.

    Raises:
        ExportError: there is too little.
        SourceError: the file does not state its context.
    """
    per_position = sum(table.nbytes for table in rotary_inputs(file, graph, 1, length=0).values())
    context, free = longest_context(file), free_memory()
    needed = _WHILE_COMPUTED * per_position * context
    if needed > free:
        key = _key(file)
        raise ExportError(
            f"{file.path}: the rotary tables for its context ({key}), {context:,} tokens, take "
            f"{needed / GIGABYTE:,.1f} GB of memory, and {free / GIGABYTE:,.1f} GB are free; make room, or lower the "
            f"context: gguf-set-metadata FILE {key} TOKENS, or max_position_embeddings in a checkpoint's config.json"
        )


def _key(file: ModelFile) -> str:
    return f"{file.architecture}.context_length"
