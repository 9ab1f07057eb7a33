"""Score windows: all of them through the layers, then their final hidden states through the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from evaluator.models.model_file import ModelFile
from evaluator.results.hidden_states import HiddenStates
from evaluator.runtime.forward_pass import Advance, ForwardPass, shape_of
from evaluator.runtime.head import Head, WindowScores
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.memory_plan import MemoryPlan
from evaluator.support.stage_clock import in_stage
from evaluator.texts.windows import Window

Values = npt.NDArray[np.float32]


def final_states(passing: ForwardPass, stored: HiddenStates | None = None) -> Values:
    """Run a pass and return the final hidden states, float32 [windows, scored tokens, hidden].

    Args:
        passing: the pass.
        stored: where to put them on disk; without it they are in memory.

    Raises:
        EvaluatorError: see `ForwardPass.final_hidden`.
        OSError: the disk is full.
    """
    count = len(passing.windows)
    if stored is not None:
        for index, states in passing.final_hidden():
            stored.put(index, count, states)
        stored.seal()
        return stored.values()
    held: Values | None = None
    for index, states in passing.final_hidden():
        if held is None:
            held = np.empty((count, *states.shape), np.float32)
        held[index] = states
    return np.empty((0, 0, 0), np.float32) if held is None else held


def window_states(model: LayeredModel, file: ModelFile, windows: Sequence[Window]) -> Values:
    """Return the final hidden states of a few windows, float32 [windows, scored tokens, hidden].

    Raises:
        EvaluatorError: the file cannot be read, or onnxruntime failed.
    """
    shape = shape_of(model, windows)
    plan = MemoryPlan("device", False, shape.stream_bytes, 0)
    return final_states(ForwardPass(model, file, windows, plan))


def score(
    passing: ForwardPass,
    head: Head,
    baseline: Values | None,
    stored: HiddenStates | None = None,
    advance: Advance = lambda share, where: None,
) -> list[WindowScores]:
    """Score all windows of a pass, in order.

    Args:
        passing: the pass.
        head: the head, made with the baseline's if and only if `baseline` is given.
        baseline: the baseline's final hidden states, float32 [windows, scored tokens, hidden].
        stored: where to put the final hidden states on disk; without it they are in memory.
        advance: called with the share that is done, and where it stands.

    Raises:
        EvaluatorError: the model cannot be read, or onnxruntime failed.
        OSError: the disk is full.
    """
    share = passing.model.n_weights / (passing.model.n_weights + head.n_weights)
    layers = replace(passing, advance=lambda done, where: advance(share * done, where))
    hidden = final_states(layers, stored)
    n_windows, n_scored, width = hidden.shape
    targets = np.concatenate([window.targets for window in passing.windows])
    reference = None if baseline is None else baseline.reshape(-1, width)
    with in_stage("scoring"):
        scores = head.score(
            hidden.reshape(-1, width),
            targets,
            reference,
            lambda done: advance(share + (1 - share) * done, "output matrix"),
        )
    return scores.split(n_scored * np.arange(1, n_windows))
