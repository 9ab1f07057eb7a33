"""The size of an artifact's cache, from the inputs that hold what came before a sequence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from evaluator.export.exact.graph import Graph
from evaluator.export.fusion.uses import PAST, PAST_LENGTH, with_cache
from evaluator.export.packing.graph import decoding_body
from evaluator.models.model_file import ModelFile

_FLOAT, _HALF = 4, 2


@dataclass(frozen=True)
class CacheSize:
    """Bytes of the cache: `per_token` for keys and values, and `fixed` for states, whatever the context."""

    per_token: int
    fixed: int

    @classmethod
    def of(cls, file: ModelFile, graph: Graph, *, half: bool) -> Self:
        """Return the size of one sequence's cache in the artifact of a file; no weights are read.

        Args:
            file: the file.
            graph: its model's graph.
            half: whether the artifact is in half precision.

        Raises:
            ExportError: there is no decoding graph for this model.
        """
        sizes = {True: 0, False: 0}
        for item in with_cache(decoding_body(file, graph)).graph.input:
            if item.name.startswith(PAST):
                _, *dimensions = item.type.tensor_type.shape.dim
                grows = any(size.dim_param == PAST_LENGTH for size in dimensions)
                sizes[grows] += math.prod(size.dim_value for size in dimensions if not size.dim_param)
        width = _HALF if half else _FLOAT
        return cls(width * sizes[True], _FLOAT * sizes[False])

    def at(self, context: int) -> int:
        """Return the bytes for `context` tokens."""
        return self.per_token * context + self.fixed
