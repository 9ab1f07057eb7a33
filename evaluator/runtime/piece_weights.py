"""Read the weights of pieces from a file, the next piece's while this one computes."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from evaluator.export.exact.weights import expert_values, parameter_tensors, slot_values
from evaluator.export.fusion.half import as_half
from evaluator.export.pieces import Experts, Piece, Weight
from evaluator.models.model_file import ModelFile
from evaluator.runtime.session import Array
from evaluator.support.errors import SourceError

ItemT = TypeVar("ItemT")
ReadT = TypeVar("ReadT")


class WeightReader:
    """Reads weights of one file, in the precision and order in which pieces take them."""

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        self.tensors = parameter_tensors(file)

    def read(self, piece: Piece) -> dict[str, Array]:
        """Return all weights of a piece by the names of their inputs.

        Raises:
            SourceError: a tensor cannot be read, does not fit the graph, or exceeds half precision's range.
        """
        weights = {name: self.weight(weight) for name, weight in piece.weights.items()}
        for weight in piece.weights.values():
            if tensor := self.tensors.get(weight.slot.parameter):
                self.file.release_pages(tensor)
        return weights

    def weight(self, weight: Weight) -> Array:
        """Return one weight.

        Raises:
            SourceError: see `read`.
        """
        values = slot_values(self.file, weight.slot, self.tensors, as_stored=weight.as_stored)
        return self._as_passed(weight, values)

    def expert(self, experts: Experts, number: int) -> dict[str, Array]:
        """Return all weights of one expert by the names of their inputs.

        Raises:
            SourceError: see `read`.
        """
        return {
            name: self._as_passed(
                weight, expert_values(self.file, weight.slot, number, as_stored=weight.as_stored)
            )
            for name, weight in experts.weights.items()
        }

    def release(self, experts: Experts) -> None:
        """Give the memory of the experts' mapped bytes back to the system."""
        for weight in experts.weights.values():
            self.file.release_pages(weight.slot.parameter)

    def _as_passed(self, weight: Weight, values: npt.NDArray[np.float32]) -> Array:
        if not weight.half:
            # Vectors are often views of the file: without them, a quantized file may be cut off while pieces compute.
            return values.copy() if values.ndim == 1 else values
        try:
            return as_half(values)
        except ValueError as error:
            raise SourceError(self.file.path, f"{weight.slot.parameter}: {error}") from error

    def embedding(self, piece: Piece, ids: npt.NDArray[np.integer]) -> tuple[dict[str, Array], Array]:
        """Return the embedding piece's weights with only the rows of the tokens in `ids`, and those rows' numbers.

        A vocabulary has up to 262,144 rows, of which a text uses few.

        Args:
            piece: the embedding.
            ids: token ids, of any shape.

        Returns:
            The weights by input, and int64 numbers of the kept rows in the shape of `ids`.
        """
        used, places = np.unique(ids, return_inverse=True)
        weights: dict[str, Array] = {}
        for name, weight in piece.weights.items():
            if name in piece.tables:
                weights[name] = self.file.gathered_rows(self.tensors[weight.slot.parameter], used)
            else:
                weights[name] = self.weight(weight)
        return weights, places.reshape(ids.shape).astype(np.int64)


def read_ahead(
    items: Iterable[ItemT], read: Callable[[ItemT], ReadT], *, ahead: bool = True
) -> Iterator[tuple[ItemT, ReadT]]:
    """Yield each item with what `read` returns for it, reading the next item while the caller uses this one.

    Args:
        items: what to read.
        read: reads an item; called in another thread, for one item at a time.
        ahead: without it each item is read when it is asked for, so that only one is in memory.
    """
    if not ahead:
        yield from ((item, read(item)) for item in items)
        return
    waiting = iter(items)
    pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    following: tuple[ItemT, Future[ReadT]] | None = None
    try:
        for item in waiting:
            # The run's clock is a context variable, which threads do not inherit.
            coming = (item, pool.submit(contextvars.copy_context().run, read, item))
            if following is not None:
                yield following[0], following[1].result()
            following = coming
        if following is not None:
            yield following[0], following[1].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
