"""Scores windows: one pass of the body per window, then the score graph over its second half."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluator.export.exact import exact_weights
from evaluator.export.graph import Graph
from evaluator.export.skeleton import SCORED_POSITIONS
from evaluator.runtime import score_graph as names
from evaluator.runtime.device import Device
from evaluator.runtime.session import Array, Session
from evaluator.sources.model_file import ModelFile
from evaluator.windows import Window

Values = npt.NDArray[np.float32]

#: Vocabulary-sized arrays are at most this many elements (16 MiB each), whatever the window.
_BLOCK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class WindowScores:
    """Per scored token of one window: float32 [n] arrays, `same_top` bool [n]; the last two None for a baseline."""

    nll: Values
    top_prob: Values
    kld: Values | None
    same_top: npt.NDArray[np.bool_] | None


class Body:
    """A model without its head: windows in, final hidden states of the scored positions out."""

    def __init__(self, file: ModelFile, graph: Graph, device: Device) -> None:
        weights = ((slot.initializer, values) for slot, values in exact_weights(file, graph))
        self._session = Session(graph.path, device, weights)
        self.provider = self._session.provider

    def hidden(self, window: Window) -> Values:
        """Final hidden states, float32 [scored tokens, hidden]."""
        length = len(window.ids)
        available: dict[str, Array] = {
            "input_ids": window.ids.astype(np.int64)[None],
            "attention_mask": np.ones((1, length), np.int64),
            "position_ids": np.arange(length, dtype=np.int64)[None],
            SCORED_POSITIONS: np.arange(window.first_scored, length - 1, dtype=np.int64),
        }
        outputs = self._session.run({name: available[name] for name in self._session.input_names})
        hidden: Values = outputs[0][0].astype(np.float32, copy=False)
        return hidden


class Head:
    """A model's head, and the baseline's beside it when divergences are wanted."""

    def __init__(self, weights: Values, baseline: Values | None, device: Device) -> None:
        """Both heads are float32 [vocabulary, hidden]."""
        vocabulary, hidden = weights.shape
        model = names.score_graph(vocabulary, hidden, against_baseline=baseline is not None)
        self._session = Session(model, device)
        self._heads = {names.VARIANT_HEAD: self._session.resident(weights)}
        if baseline is not None:
            self._heads[names.BASELINE_HEAD] = self._session.resident(baseline)
        self._rows = max(1, _BLOCK_ELEMENTS // vocabulary)

    def score(self, hidden: Values, targets: npt.NDArray[np.int32], baseline: Values | None) -> WindowScores:
        """Score the hidden states of one window, a block of rows at a time."""
        blocks: list[Sequence[Array]] = []
        for start in range(0, len(targets), self._rows):
            rows = slice(start, start + self._rows)
            inputs = {
                **self._heads,
                names.VARIANT_HIDDEN: np.ascontiguousarray(hidden[rows]),
                names.TARGETS: targets[rows, None].astype(np.int64),
            }
            if baseline is not None:
                inputs[names.BASELINE_HIDDEN] = np.ascontiguousarray(baseline[rows])
            blocks.append([output[:, 0] for output in self._session.run(inputs)])
        columns = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
        nll, top_prob, *rest = columns
        kld, same_top = rest if rest else (None, None)
        return WindowScores(nll, top_prob, kld, same_top)


def score_windows(
    body: Body,
    head: Head,
    windows: Sequence[Window],
    baseline_hidden: Iterable[Values | None],
    keep_hidden: Callable[[int, Values], None] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[WindowScores]:
    """Score all windows in order.

    Args:
        body: the model's body.
        head: its head, made with the baseline's head if and only if `baseline_hidden` holds arrays.
        windows: what to score.
        baseline_hidden: the baseline's final hidden states per window, None where there is no baseline.
        keep_hidden: called with (index of the window, its hidden states), to keep a baseline's.
        advance: called with the number of tokens scored after each window.
    """
    scores: list[WindowScores] = []
    for index, (window, reference) in enumerate(zip(windows, baseline_hidden, strict=True)):
        hidden = body.hidden(window)
        if keep_hidden:
            keep_hidden(index, hidden)
        scores.append(head.score(hidden, window.targets, reference))
        advance(len(window.targets))
    return scores
