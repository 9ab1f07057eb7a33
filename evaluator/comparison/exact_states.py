"""What engines are compared with: exact final hidden states, kept from scoring or computed again, and exact nll."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt

from evaluator.comparison.executor import subject_of
from evaluator.comparison.file_scorer import FileScorer
from evaluator.planning.plan import Candidate, Plan
from evaluator.results.hidden_states import HiddenStates
from evaluator.results.store import ResultsStore
from evaluator.support.units import FLOAT_BYTES
from evaluator.texts.windows import n_scored, spread

Values = npt.NDArray[np.float32]

_SHARE_OF_DISK = 0.5


class ExactStates:
    """Final hidden states of variants, on disk until their engines are done."""

    def __init__(
        self, plan: Plan, store: ResultsStore, scorer: Callable[[], FileScorer], engine_windows: int | None
    ) -> None:
        """Keep none until `keep`; `scorer` returns what computes them, `engine_windows` are compared, None: all."""
        self._plan, self._store, self._scorer = plan, store, scorer
        n_windows = len(plan.windows)
        #: Places of the windows that engines compare.
        self.compared: Sequence[int] = spread(n_windows, engine_windows or n_windows).tolist()
        self._kept: frozenset[str] = frozenset()

    def keep(self, variant_ids: Collection[str]) -> None:
        """Keep those of variants that will be scored, if the disk has room for all."""
        width = self._scorer().model(self._plan.device).hidden
        needed = FLOAT_BYTES * n_scored(self._plan.windows) * width * len(variant_ids)
        if needed <= _SHARE_OF_DISK * shutil.disk_usage(self._store.folder).free:
            self._kept = frozenset(variant_ids)

    def stored(self, variant_id: str) -> HiddenStates | None:
        """Return where a pass that scores a variant puts its states; None where it keeps them to itself."""
        return self._store.hidden_states(variant_id) if variant_id in self._kept else None

    def of(self, item: Candidate) -> Sequence[Values]:
        """Return those of each window that engines compare, mapped, float32 [scored tokens, hidden].

        Where scoring has not kept those of all windows, only those that are compared are computed.

        Raises:
            EvaluatorError: the file cannot be read, onnxruntime failed, or the memory does not suffice.
            OSError: the disk is full.
        """
        kept = self.kept(item)
        if kept is not None:
            return kept
        stored = self._store.hidden_states(item.variant_id)
        windows = [self._plan.windows[place] for place in self.compared]
        self._scorer().score(subject_of(item), windows, self._plan.device, None, stored=stored)
        return list(stored.values())

    def kept(self, item: Candidate) -> Sequence[Values] | None:
        """Return the same if they are on disk; None if they would have to be computed."""
        windows, stored = self._plan.windows, self._store.hidden_states(item.variant_id)
        scored = len(windows[0].targets)
        if stored.complete((len(windows), scored)):
            values = stored.values()
            return [values[place] for place in self.compared]
        return list(stored.values()) if stored.complete((len(self.compared), scored)) else None

    def nll(self, item: Candidate) -> Values:
        """Return the stored negative log likelihoods in nats, NaN where not finite, float32 [windows, scored tokens].

        Raises:
            ResultsFileError: they are damaged.
        """
        return self._stored(item, "nll")

    def kld(self, item: Candidate) -> Values:
        """Return the stored KL divergences from the baseline, in the same form; of the baseline 0.

        Raises:
            ResultsFileError: they are damaged.
        """
        return np.zeros_like(self.nll(item)) if item.is_baseline else self._stored(item, "kld")

    def _stored(self, item: Candidate, column: str) -> Values:
        stored = self._store.tokens(item.variant_id)[column].fill_null(np.nan)
        return stored.to_numpy().astype(np.float32).reshape(len(self._plan.windows), -1)

    def forget(self, item: Candidate) -> None:
        """Remove a variant's; the baseline's serve all."""
        if not item.is_baseline:
            self._store.hidden_states(item.variant_id).path.unlink(missing_ok=True)
