"""Measure the divergence that each matrix of a variant causes on its own, all others being the baseline's.

The layers below a matrix are not run again: the baseline's residual stream is kept at every layer, the layer with the
variant's matrix starts from there, and the baseline's layers above follow up to the head.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from evaluator.comparison.layers.drift import spread
from evaluator.comparison.layers.stack import LayerStack
from evaluator.comparison.layers.weight_error import place_of
from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import head_weights, parameter_tensors
from evaluator.models.architectures import EMBEDDING, HEAD, head_tensor, logit_softcap
from evaluator.models.model_file import ModelFile
from evaluator.runtime.device import Device
from evaluator.runtime.scoring import Head
from evaluator.texts.windows import Window

#: One window in four, its first half, and on average half of the layers: a sixteenth of a full pass per matrix.
_ONE_IN, _MOST_WINDOWS = 4, 4
_MOST_ROWS = 64

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Attribution:
    """Mean KLDs in nats on the attribution's tokens.

    Attributes:
        causes: (layer, role) → KLD with only that matrix from the variant.
        whole: KLD of the whole variant on the same tokens.
    """

    causes: dict[tuple[int, str], float]
    whole: float

    @property
    def additivity(self) -> float | None:
        """Sum of all causes over the whole: 1 if matrices do not interact."""
        return sum(self.causes.values()) / self.whole if self.whole > 0 else None


def attribution_windows(windows: Sequence[Window]) -> list[Window]:
    """Return what matrices are attributed on: the first halves of windows spread over all texts."""
    count = min(_MOST_WINDOWS, max(1, len(windows) // _ONE_IN))
    chosen = (windows[index] for index in spread(len(windows), count))
    return [
        replace(window, ids=window.ids[: len(window.ids) // 2], first_scored=window.first_scored // 2)
        for window in chosen
    ]


class Attributor:
    """A baseline, run once and kept, whose matrices are replaced one at a time by a variant's."""

    def __init__(self, baseline: ModelFile, graph: Graph, device: Device, windows: Sequence[Window]) -> None:
        """Run the baseline.

        Args:
            baseline: the baseline's file.
            graph: the baseline's graph.
            device: where it runs.
            windows: windows of one length; see `attribution_windows`.

        Raises:
            ExportError: the graph is not fused.
        """
        self._stack = LayerStack(graph, device)
        self._device = device
        self._softcap = logit_softcap(baseline)
        ids = np.stack([window.ids for window in windows]).astype(np.int64)
        rows = spread(len(windows[0].targets), _MOST_ROWS)
        self._common = self._stack.common_inputs(baseline, ids, windows[0].first_scored + rows)
        self._targets = np.concatenate([window.targets[rows] for window in windows])
        self._weights = [piece.weights(baseline) for piece in self._stack.pieces]
        #: The baseline's input of each piece, and last its final hidden states.
        self._streams: list[npt.NDArray[np.generic]] = [ids]
        for index, weights in enumerate(self._weights):
            self._streams.append(self._stack.run(index, self._streams[-1], weights, self._common))
        self._head_values = head_weights(baseline)
        self._head = self._paired_head(self._head_values)

    def attribute(self, variant: ModelFile, say: Callable[[str], None] = lambda _: None) -> Attribution:
        """Measure the variant's matrices in turn, each alone in the baseline, and the whole variant.

        Args:
            variant: a file of the baseline's shape.
            say: called with the part being measured.

        Raises:
            SourceError: a tensor cannot be read.
        """
        tensors = parameter_tensors(variant)
        head = self._paired_head(head_weights(variant))
        causes: dict[tuple[int, str], float] = {}
        whole = self._streams[0]
        for index, piece in enumerate(self._stack.pieces):
            say(f"part {index + 1} of {len(self._stack.pieces)}")
            weights = piece.weights(variant)
            whole = self._stack.run(index, whole, weights, self._common)
            exchanged: dict[str, dict[str, Values]] = defaultdict(dict)
            for name, values in weights.items():
                exchanged[tensors[piece.slots[name].parameter]][name] = values
            for tensor, replaced in exchanged.items():
                place = place_of(tensor)
                if place is None:
                    continue
                tied = tensor == EMBEDDING and head_tensor(variant) == EMBEDDING
                final = self._from(index, self._weights[index] | replaced)
                causes[place] = self._divergence(head if tied else self._head, final)
        place = place_of(HEAD)
        if place and head_tensor(variant) == HEAD:
            causes[place] = self._divergence(head, self._streams[-1])
        return Attribution(causes, self._divergence(head, whole))

    def _from(self, index: int, weights: dict[str, Values]) -> npt.NDArray[np.generic]:
        """Return the final hidden states with other weights in piece `index`."""
        stream: npt.NDArray[np.generic] = self._stack.run(index, self._streams[index], weights, self._common)
        for above in range(index + 1, len(self._weights)):
            stream = self._stack.run(above, stream, self._weights[above], self._common)
        return stream

    def _divergence(self, head: Head, final: npt.NDArray[np.generic]) -> float:
        hidden, reference = (
            np.asarray(states, np.float32).reshape(len(self._targets), -1)
            for states in (final, self._streams[-1])
        )
        kld = head.score(hidden, self._targets, reference).kld
        return float(np.mean(kld, dtype=np.float64)) if kld is not None else float("nan")

    def _paired_head(self, values: Values) -> Head:
        return Head(values, self._head_values, self._device, self._softcap)
