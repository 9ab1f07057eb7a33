"""Score windows through llama.cpp: how far it is from exact weights, a few rows of logits at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from evaluator.engines import Bench, Case, Columns
from evaluator.engines.llama_cpp.process import llama_logits
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.metrics import METRIC_FAMILIES, TokenScores
from evaluator.metrics.estimation import clustered_standard_error, standard_error
from evaluator.metrics.families.agreement import agreement
from evaluator.metrics.families.divergence import divergence
from evaluator.metrics.families.likelihood import likelihood
from evaluator.models.model_file import ModelFile
from evaluator.runtime.head import Head, WindowScores
from evaluator.support.errors import EvaluatorError
from evaluator.texts.windows import Window

Values = npt.NDArray[np.float32]

#: Bytes of logits that are held at a time.
_BLOCK_BYTES = 1 << 26


class _Reference:
    """Exact weights that logits are compared with, and the scores so far."""

    def __init__(self, case: Case, bench: Bench) -> None:
        self._case, self._states, self._compared = case, case.states(), list(bench.compared)
        self.head = Head.of_logits(case.file, bench.device)
        self._scores: list[WindowScores] = []

    def compare(self, logits: Values, targets: npt.NDArray[np.int32], window: int, rows: slice) -> None:
        self._scores.append(self.head.score(logits, targets, self._states[window][rows]))

    def tokens(self) -> TokenScores:
        """Return llama.cpp's scores of all tokens, finite or not."""
        exact = self._case.nll()[self._compared]
        nll, top_prob, kld, same_top = (
            np.concatenate([getattr(scores, name) for scores in self._scores]).astype(np.float64)
            for name in ("nll", "top_prob", "kld", "same_top")
        )
        return TokenScores(
            self._case.file.size_bytes,
            np.repeat(np.arange(len(exact)), exact.shape[1]),
            nll=nll,
            top_prob=top_prob,
            baseline_nll=exact.ravel().astype(np.float64),
            kld=kld,
            same_top=same_top,
        )


def llama_losses(case: Case, bench: Bench, settings: Settings) -> Columns:
    """Compute the windows to compare in llama.cpp, and compare the scored positions with exact weights.

    Returns:
        The columns of the metric family `llama_cpp_loss` without `llamacpp_`, over the tokens whose values are
        finite: the perplexity, and comparisons with the exact weights of the file, and, beginning with `baseline_`,
        of the baseline. Values that do not exist, such as errors clustered by a single window, are left out.

    Raises:
        EvaluatorError: llama.cpp refused the file or ended, or no value is finite.
    """
    own = _Reference(case, bench)
    baseline = own if case.is_baseline else _Reference(bench.baseline, bench)
    references = list(dict.fromkeys((own, baseline)))
    windows = bench.compared_windows
    for logits, number, rows in _blocks(case.file, windows, settings, own.head.vocabulary):
        for reference in references:
            reference.compare(logits, windows[number].targets[rows], number, rows)
    own_tokens, baseline_tokens = own.tokens(), baseline.tokens()
    exact_kld = case.kld()[list(bench.compared)].ravel().astype(np.float64)
    usable = _finite(own_tokens) & _finite(baseline_tokens) & np.isfinite(exact_kld)
    if lost := int(np.count_nonzero(~usable)):
        problem = f"{lost} of {usable.size} tokens have logits in llama.cpp that are not finite, or too large"
        if lost == usable.size:
            raise EvaluatorError(problem)
        bench.say(f"{case.label}: {problem}; they are left out")
    found = {"n_tokens": int(usable.sum()), **_statistics(own_tokens.subset(usable))}
    found |= {
        f"baseline_{name}": value for name, value in _statistics(baseline_tokens.subset(usable)).items()
    }
    assert baseline_tokens.kld is not None
    change, clusters = (baseline_tokens.kld - exact_kld)[usable], baseline_tokens.windows[usable]
    found["kld_change"] = float(change.mean())
    found["kld_change_se"] = standard_error(change)
    found["kld_change_se_clustered"] = clustered_standard_error(change, clusters)
    listed = {column.name for column in METRIC_FAMILIES.get("llama_cpp_loss").columns}
    return {
        name: value for name, value in found.items() if value is not None and f"llamacpp_{name}" in listed
    }


def _finite(scores: TokenScores) -> npt.NDArray[np.bool_]:
    assert scores.kld is not None
    assert scores.baseline_nll is not None
    return np.asarray(np.isfinite(scores.kld + scores.nll + scores.baseline_nll))


def _statistics(scores: TokenScores) -> dict[str, float | int | None]:
    return {**divergence(scores), **likelihood(scores), **agreement(scores)}


def _blocks(
    file: ModelFile, windows: Sequence[Window], settings: Settings, vocabulary: int
) -> Iterator[tuple[Values, int, slice]]:
    """Yield logits of scored positions, float32 [rows, vocabulary], with the number of their window and rows in it.

    Raises:
        EvaluatorError: llama.cpp refused the file or ended, or has another vocabulary.
    """
    first, last = windows[0].first_scored, len(windows[0].ids) - 1
    most = max(1, _BLOCK_BYTES // (4 * vocabulary))
    with llama_logits(file.files[:1], [window.ids for window in windows], first, last, settings) as files:
        logits = next(files)
        if logits.vocabulary != vocabulary:
            raise EvaluatorError(
                f"its vocabulary holds {logits.vocabulary} tokens in llama.cpp, and its head {vocabulary}"
            )
        for number in range(len(windows)):
            for start in range(0, last - first, most):
                rows = slice(start, min(start + most, last - first))
                yield logits.rows(rows.stop - rows.start), number, rows
