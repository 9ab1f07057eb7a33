"""Score windows through llama.cpp: how far it is from exact weights, a few rows of logits at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from evaluator.engines import Bench, Case, Columns
from evaluator.engines.llama_cpp.process import llama_logits
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.models.model_file import ModelFile
from evaluator.runtime.device import Device
from evaluator.runtime.head import Head, WindowScores
from evaluator.support.errors import EvaluatorError

Values = npt.NDArray[np.float32]

#: Bytes of logits that are held at a time.
_BLOCK_BYTES = 1 << 26


class _Reference:
    """Exact weights that logits are compared with, and the divergences so far."""

    def __init__(self, file: ModelFile, states: Values, device: Device) -> None:
        self.head = Head.of_logits(file, device)
        self._states = states
        self.klds: list[Values] = []

    def compare(
        self, logits: Values, targets: npt.NDArray[np.int32], window: int, rows: slice
    ) -> WindowScores:
        scores = self.head.score(logits, targets, self._states[window, rows])
        assert scores.kld is not None
        self.klds.append(scores.kld)
        return scores


def llama_losses(case: Case, bench: Bench, settings: Settings) -> Columns:
    """Compute all windows in llama.cpp and compare the scored positions with exact weights.

    Returns:
        `kld_mean`, KL(exact weights of the file ‖ llama.cpp) in nats, `baseline_kld_mean`, the same with the
        baseline's exact weights, and `ppl`; means over the tokens whose values are finite.

    Raises:
        EvaluatorError: llama.cpp refused the file or ended, or no value is finite.
    """
    own = _Reference(case.file, case.states(), bench.device)
    baseline = (
        own if case.is_baseline else _Reference(bench.baseline.file, bench.baseline.states(), bench.device)
    )
    nll: list[Values] = []
    for logits, window, rows in _blocks(case.file, bench, settings, own.head.vocabulary):
        targets = bench.windows[window].targets[rows]
        nll.append(own.compare(logits, targets, window, rows).nll)
        if baseline is not own:
            baseline.compare(logits, targets, window, rows)
    values = np.stack([np.concatenate(part) for part in (own.klds, baseline.klds, nll)]).astype(np.float64)
    usable = np.asarray(np.isfinite(values).all(axis=0))
    if lost := int(np.count_nonzero(~usable)):
        problem = f"{lost} of {usable.size} tokens have logits in llama.cpp that are not finite, or too large"
        if lost == usable.size:
            raise EvaluatorError(problem)
        bench.say(f"{case.label}: {problem}; they are left out")
    means = values[:, usable].mean(axis=1)
    with np.errstate(over="ignore"):
        perplexity = float(np.exp(means[2]))
    columns: Columns = {"kld_mean": float(means[0]), "baseline_kld_mean": float(means[1])}
    return columns | ({"ppl": perplexity} if np.isfinite(perplexity) else {})


def _blocks(
    file: ModelFile, bench: Bench, settings: Settings, vocabulary: int
) -> Iterator[tuple[Values, int, slice]]:
    """Yield logits of scored positions, float32 [rows, vocabulary], with their window and rows in it.

    Raises:
        EvaluatorError: llama.cpp refused the file or ended, or has another vocabulary.
    """
    windows, first = bench.windows, bench.windows[0].first_scored
    ids, last = [window.ids for window in windows], len(windows[0].ids) - 1
    most = max(1, _BLOCK_BYTES // (4 * vocabulary))
    with llama_logits(file.files[:1], ids, first, last, settings) as files:
        logits = next(files)
        if logits.vocabulary != vocabulary:
            raise EvaluatorError(
                f"its vocabulary holds {logits.vocabulary} tokens in llama.cpp, and its head {vocabulary}"
            )
        for window in range(len(windows)):
            for start in range(0, last - first, most):
                rows = slice(start, min(start + most, last - first))
                yield logits.rows(rows.stop - rows.start), window, rows
