"""Measure the engine gap: the divergence of the packed artifact from the exact weights of the same file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from evaluator.export.exact.graph import Graph
from evaluator.export.fusion.uses import ATTENTION_MASK, PAST
from evaluator.export.skeleton import SCORED_POSITIONS
from evaluator.metrics.estimation import LARGEST_TOLD_APART
from evaluator.models.architectures import logit_softcap
from evaluator.models.model_file import ModelFile
from evaluator.runtime.device import Device
from evaluator.runtime.head import HeadRows
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.scoring import window_states
from evaluator.runtime.session import Array, Session
from evaluator.support.errors import EvaluatorError
from evaluator.texts.windows import Window, spread

Values = npt.NDArray[np.float32]

#: Few windows, spread over all texts, are enough: the gap depends on the kernels, not on the text.
_MOST_WINDOWS = 2
_ROWS, _SLICE = 64, 8192


def engine_gap(
    file: ModelFile,
    graph: Graph,
    artifact: Path,
    windows: Sequence[Window],
    device: Device,
    states: Sequence[Values] | None = None,
) -> float:
    """Measure the mean KL(exact ‖ artifact) in nats over the scored tokens of a few of `windows`.

    Args:
        file: the model whose weights are in the artifact.
        graph: the model's graph.
        artifact: the artifact's model file.
        windows: the windows to choose from.
        device: where both run.
        states: exact final hidden states of each of `windows`, float32 [scored tokens, hidden]; without them they are
            computed for the few.

    Raises:
        EvaluatorError: some token's divergence is not finite, or too large for float32.
    """
    places = spread(len(windows), _MOST_WINDOWS)
    chosen = [windows[place] for place in places]
    hidden = (
        window_states(LayeredModel(graph, device), file, chosen)
        if states is None
        else [states[place] for place in places]
    )
    head, cap = HeadRows.of(file), logit_softcap(file)
    deployed = _DeployedLogits(artifact, device)
    divergences = []
    for window, exact_states in zip(chosen, hidden, strict=True):
        logits = deployed.of(window)
        for start in range(0, len(exact_states), _ROWS):
            rows = slice(start, start + _ROWS)
            exact = _product(exact_states[rows], head, cap)
            divergences.append(divergence(exact, logits[rows]))
    klds = np.concatenate(divergences)
    if lost := int(np.count_nonzero(~(np.abs(klds) <= LARGEST_TOLD_APART))):
        raise EvaluatorError(f"{lost} of {len(klds)} tokens have logits that are not finite, or too large")
    return float(klds.mean())


def _product(states: Values, head: HeadRows, softcap: float | None) -> Values:
    """Compute logits [rows, vocabulary], a slice of the vocabulary at a time; states may be non-finite."""
    with np.errstate(all="ignore"):
        starts = range(0, head.vocabulary, _SLICE)
        slices = [states @ head.read(start, min(start + _SLICE, head.vocabulary)).T for start in starts]
        logits: Values = np.concatenate(slices, axis=1)
        return softcap * np.tanh(logits / softcap) if softcap else logits


def divergence(reference: Values, other: Values) -> npt.NDArray[np.float64]:
    """Compute KL(reference ‖ other) in nats per row of logits [rows, vocabulary]; they may be non-finite."""
    with np.errstate(all="ignore"):
        logp, logq = _log_softmax(reference), _log_softmax(other)
        kld: npt.NDArray[np.float64] = (np.exp(logp) * (logp - logq)).sum(axis=1, dtype=np.float64)
    return kld


def _log_softmax(logits: Values) -> Values:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Values = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True, dtype=np.float64)).astype(
        np.float32
    )
    return result


class _DeployedLogits:
    """An artifact changed to output the logits of all scored positions instead of the last one's only."""

    def __init__(self, artifact: Path, device: Device) -> None:
        model = onnx.load(str(artifact), load_external_data=False)
        fixed = next(item for item in model.graph.initializer if item.name == SCORED_POSITIONS)
        model.graph.initializer.remove(fixed)
        positions = helper.make_tensor_value_info(SCORED_POSITIONS, TensorProto.INT64, ["scored"])
        model.graph.input.append(positions)
        logits = next(item for item in model.graph.output if item.name == "logits")
        logits.type.tensor_type.shape.dim[1].dim_param = "scored"
        self._session = Session(model, device, folder=artifact.parent)

    def of(self, window: Window) -> Values:
        """Return the logits of one window, float32 [scored tokens, vocabulary]."""
        length = len(window.ids)
        inputs: dict[str, Array] = {
            "input_ids": window.ids.astype(np.int64)[None],
            ATTENTION_MASK: np.ones((1, length), np.int64),
            SCORED_POSITIONS: np.arange(window.first_scored, length - 1, dtype=np.int64),
        }
        names = self._session.input_names
        inputs |= {name: self._session.empty_past(name, 0) for name in names if name.startswith(PAST)}
        logits: Values = self._session.run(inputs)[0][0].astype(np.float32, copy=False)
        return logits
