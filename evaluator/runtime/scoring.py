"""Score windows: run the body over a few windows, then the score graph over their second halves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import exact_weights, rotary_inputs
from evaluator.export.fusion.half import as_half, halve
from evaluator.export.fusion.uses import RESIDUAL_ROWS, load_fused, load_plain, score_late, with_residuals
from evaluator.export.skeleton import SCORED_POSITIONS
from evaluator.models.model_file import ModelFile
from evaluator.runtime import score_graph as names
from evaluator.runtime.device import Device
from evaluator.runtime.session import Array, Session
from evaluator.support.errors import ExportError, SourceError
from evaluator.texts.windows import Window

Values = npt.NDArray[np.float32]

#: Windows run at a time on a CPU: the attention heads of two divide evenly between threads, and a slice of the head
#: is rearranged for the processor once for both. A GPU needs more positions at a time.
_TOGETHER, _LONGEST_TOGETHER, _POSITIONS_ON_GPU = 2, 2048, 4096
#: Vocabulary tokens and rows that logits are computed for at a time: 4 MiB, which fits into a processor's caches; on
#: a GPU 64 MiB (at most half a GiB with all intermediate arrays), large enough to keep it busy.
_SLICE_TOKENS, _BLOCK_ROWS = 2048, 512
_SLICE_ON_GPU, _BLOCK_ON_GPU = 16_384, 1024


def windows_together(length: int) -> int:
    """Return how many windows of `length` tokens a CPU runs at a time; long ones go alone to save memory."""
    return _TOGETHER if length <= _LONGEST_TOGETHER else 1


@dataclass(frozen=True)
class WindowScores:
    """Per scored token: float32 [n] arrays, `same_top` bool [n]; the last two None for a baseline."""

    nll: Values
    top_prob: Values
    kld: Values | None
    same_top: npt.NDArray[np.bool_] | None

    def split(self, places: npt.NDArray[np.integer]) -> list[WindowScores]:
        """Cut before each of `places`, as `numpy.split` does."""
        columns = (self.nll, self.top_prob, self.kld, self.same_top)
        nothing = [None] * (len(places) + 1)
        parts = (nothing if values is None else np.split(values, places) for values in columns)
        return [WindowScores(*part) for part in zip(*parts, strict=True)]


@dataclass(frozen=True)
class Watch:
    """Which residual streams to pass on while windows are scored.

    Attributes:
        windows: indices of the windows.
        rows: indices among each window's scored tokens.
        take: called with a window's index and its stream, float32 [layers + 1, rows, hidden].
    """

    windows: frozenset[int]
    rows: npt.NDArray[np.int64]
    take: Callable[[int, Values], None]


_NO_ROWS = np.empty(0, np.int64)


class Body:
    """A model without its head: windows in, final hidden states of the scored positions out."""

    def __init__(
        self, file: ModelFile, graph: Graph, device: Device, *, fused: bool = True, half: bool = False
    ) -> None:
        """Open the fused graph if there is one and `device` can run it, else the plain one.

        Args:
            file: the model's weights.
            graph: the model's graph.
            device: where it runs.
            fused: whether the fused graph may be used.
            half: compute in half precision, which needs a fused graph.

        Raises:
            ExportError: half precision is requested, and the graph is not fused.
            SourceError: the weights do not fit the graph, or exceed half precision's range.
        """
        if half and graph.fused is None:
            raise ExportError(f"half precision needs a fused graph: {graph.plain_reason}")
        # The fused operator has no float32 kernel for CUDA.
        self._fused = graph.fused if half or (fused and device.name == "cpu") else None
        model = load_fused(self._fused) if self._fused else load_plain(graph.path)
        with_residuals(model, graph.residuals)
        if self._fused:
            score_late(model, self._fused)
        if half:
            halve(model, {slot.initializer for slot in graph.slots})
        self._session = Session(model, device, _weights(file, graph, model), graph.path.parent)
        self._tables = lru_cache(maxsize=1)(partial(rotary_inputs, file, self._fused))
        self._on_gpu = device.name == "cuda"
        self.provider = self._session.provider

    def together(self, length: int) -> int:
        """Return how many windows of `length` tokens to run at a time."""
        if self._on_gpu:
            return max(_TOGETHER, _POSITIONS_ON_GPU // length)
        return windows_together(length)

    def hidden(self, window: Window) -> Values:
        """Return the final hidden states of one window, float32 [scored tokens, hidden]."""
        states: Values = self.observe([window], _NO_ROWS)[0][0]
        return states

    def observe(self, windows: Sequence[Window], rows: npt.NDArray[np.int64]) -> tuple[Values, Values]:
        """Return final hidden states, and the residual stream at some of the scored tokens.

        Args:
            windows: windows of one length.
            rows: indices among each window's scored tokens.

        Returns:
            Hidden states, float32 [windows, scored tokens, hidden], and the stream before the first layer and after
            each, float32 [windows, layers + 1, rows, hidden]; empty for graphs whose residual stream is not known.
        """
        ids = np.stack([window.ids for window in windows]).astype(np.int64)
        count, length = ids.shape
        available: dict[str, Array] = {
            "input_ids": ids,
            "attention_mask": np.ones((count, length), np.int64),
            "position_ids": np.tile(np.arange(length, dtype=np.int64), (count, 1)),
            SCORED_POSITIONS: np.arange(windows[0].first_scored, length - 1, dtype=np.int64),
            RESIDUAL_ROWS: rows,
            **self._tables(length),
        }
        hidden, *residuals = self._session.run({name: available[name] for name in self._session.input_names})
        empty = np.empty((count, 0, len(rows), hidden.shape[2]))
        stream = np.stack(residuals, axis=1) if residuals else empty
        return hidden.astype(np.float32, copy=False), stream.astype(np.float32, copy=False)


def _weights(file: ModelFile, graph: Graph, model: onnx.ModelProto) -> Iterator[tuple[str, Array]]:
    """Yield the values of the initializers that `model` refers to, in the precision it declares."""
    types = {item.name: item.data_type for item in model.graph.initializer}
    for slot, values in exact_weights(file, graph):
        wanted = types.get(slot.initializer)
        if wanted == TensorProto.FLOAT16:
            try:
                yield slot.initializer, as_half(values)
            except ValueError as error:
                raise SourceError(file.path, f"{slot.parameter}: {error}") from error
        elif wanted:
            yield slot.initializer, values


class Head:
    """A model's head, with the baseline's beside it to compute divergences."""

    def __init__(
        self, weights: Values, baseline: Values | None, device: Device, softcap: float | None = None
    ) -> None:
        """Put heads, float32 [vocabulary, hidden], on a device; `softcap` bounds logits in families that do so."""
        self._session = Session(
            names.score_graph(against_baseline=baseline is not None, softcap=softcap), device
        )
        on_gpu = device.name == "cuda"
        self._tokens, self._rows = (_SLICE_ON_GPU, _BLOCK_ON_GPU) if on_gpu else (_SLICE_TOKENS, _BLOCK_ROWS)
        self._vocabulary = len(weights)
        heads = {names.VARIANT_HEAD: weights}
        if baseline is not None:
            heads[names.BASELINE_HEAD] = baseline
        self._slices = [
            {
                name: self._session.resident(values[start : start + self._tokens])
                for name, values in heads.items()
            }
            for start in range(0, len(weights), self._tokens)
        ]

    def score(self, hidden: Values, targets: npt.NDArray[np.int32], baseline: Values | None) -> WindowScores:
        """Score hidden states, float32 [rows, hidden], in blocks of rows."""
        size = self._rows
        blocks = [
            self._block(
                hidden[start : start + size],
                targets[start : start + size].astype(np.int64),
                None if baseline is None else baseline[start : start + size],
            )
            for start in range(0, len(targets), size)
        ]
        nll, top_prob = (
            np.concatenate([getattr(block, name) for block in blocks]).astype(np.float32)
            for name in ("nll", "top_prob")
        )
        klds = [block.kld for block in blocks if block.kld is not None]
        tops = [block.same_top for block in blocks if block.same_top is not None]
        if not klds:
            return WindowScores(nll, top_prob, None, None)
        return WindowScores(nll, top_prob, np.concatenate(klds).astype(np.float32), np.concatenate(tops))

    def _block(
        self, hidden: Values, targets: npt.NDArray[np.int64], baseline: Values | None
    ) -> names.RowScores:
        owners, places = np.divmod(targets, self._tokens)
        inputs = {names.VARIANT_HIDDEN: self._session.resident(hidden)}
        if baseline is not None:
            inputs[names.BASELINE_HIDDEN] = self._session.resident(baseline)
        outputs = []
        for index, heads in enumerate(self._slices):
            here = np.where(owners == index, places, 0)[:, None]
            values = self._session.run(heads | inputs | {names.TARGETS: self._session.resident(here)})
            outputs.append(dict(zip(self._session.output_names, values, strict=True)))
        return names.merge(outputs, owners, self._vocabulary)


def score_windows(
    body: Body,
    head: Head,
    windows: Sequence[Window],
    baseline_hidden: Iterable[Values | None],
    keep_hidden: Callable[[int, Values], None] | None = None,
    advance: Callable[[int], None] = lambda _: None,
    watch: Watch | None = None,
) -> list[WindowScores]:
    """Score all windows in order.

    Args:
        body: the model's body.
        head: its head, made with the baseline's head if and only if `baseline_hidden` holds arrays.
        windows: the windows to score.
        baseline_hidden: the baseline's final hidden states per window; None for the baseline itself.
        keep_hidden: called with (window index, hidden states), to store a baseline's.
        advance: called with the number of tokens just scored.
        watch: which residual streams to pass on, and where.
    """
    scores: list[WindowScores] = []
    pairs = enumerate(zip(windows, baseline_hidden, strict=True))
    together = body.together(len(windows[0].ids)) if windows else 1
    while taken := list(itertools.islice(pairs, together)):
        indices = [index for index, _ in taken]
        group = [window for _, (window, _) in taken]
        references = [reference for _, (_, reference) in taken if reference is not None]
        watching = watch if watch and watch.windows.intersection(indices) else None
        hidden, streams = body.observe(group, watching.rows if watching else _NO_ROWS)
        for index, states, stream in zip(indices, hidden, streams, strict=True):
            if watching and index in watching.windows:
                watching.take(index, stream)
            if keep_hidden:
                keep_hidden(index, states)
        targets = [window.targets for window in group]
        reference = np.concatenate(references) if references else None
        scored = head.score(np.concatenate(hidden), np.concatenate(targets), reference)
        scores += scored.split(np.cumsum([len(part) for part in targets])[:-1])
        advance(sum(len(part) for part in targets))
    return scores
