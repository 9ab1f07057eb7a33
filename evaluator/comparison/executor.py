"""Run the stages of variants: on the devices of this process, or elsewhere with the same interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from evaluator.comparison.file_scorer import Subject
from evaluator.comparison.layers.attribution import Attribution
from evaluator.comparison.stages import stage
from evaluator.comparison.variant_stages import ScoredVariant, VariantStages
from evaluator.models.mapped import give_pages_back
from evaluator.planning.plan import Candidate
from evaluator.results.manifest import Node
from evaluator.runtime.device import Device
from evaluator.runtime.parallel import on_devices
from evaluator.support.progress import RunProgress
from evaluator.texts.windows import n_scored

#: Called with a variant, its scores, and the node that scored it; None for this machine.
KeepScores = Callable[[Candidate, ScoredVariant, Node | None], None]
KeepAttribution = Callable[[Candidate, Attribution], None]
#: Called with a variant that failed, and why.
Failed = Callable[[Candidate, Exception], None]


class Executor(Protocol):
    """Runs a stage for variants, in any order; what one returns is kept, or its failure reported, as it finishes.

    Errors of the disk, and of what all variants need, are raised.
    """

    def score(self, items: Sequence[Candidate], keep: KeepScores, failed: Failed) -> None:
        """Score variants."""

    def attribute(self, items: Sequence[Candidate], keep: KeepAttribution, failed: Failed) -> None:
        """Attribute the divergence of variants to their matrices."""


def subject_of(item: Candidate) -> Subject:
    """Return what the scorer needs of a variant."""
    return Subject(item.variant_id, item.file, item.sha256)


class OnDevices:
    """Runs stages in this process."""

    def __init__(self, stages: VariantStages, devices: Sequence[Device], progress: RunProgress) -> None:
        """Use `devices`, of one kind, for scoring, and the first for attribution."""
        self._stages, self._devices, self._progress = stages, devices, progress

    def score(self, items: Sequence[Candidate], keep: KeepScores, failed: Failed) -> None:
        """Score variants, one at a time on each device."""
        on_devices(self._devices, items, partial(self._score, keep=keep, failed=failed))

    def _score(self, item: Candidate, device: Device, *, keep: KeepScores, failed: Failed) -> None:
        self._progress.step(item.label)
        tokens = n_scored(self._stages.windows)
        with stage(partial(failed, item)):
            scores = self._stages.score(subject_of(item), device, self._progress.task(item.label, tokens))
            keep(item, scores, None)
        give_pages_back()

    def attribute(self, items: Sequence[Candidate], keep: KeepAttribution, failed: Failed) -> None:
        """Attribute variants, one at a time."""
        for item in items:
            with stage(partial(failed, item)):
                keep(item, self._stages.attribute(item.file, self._devices[0], partial(self._say, item)))
            give_pages_back()

    def _say(self, item: Candidate, part: str) -> None:
        self._progress.step(f"{item.label}: attribution, {part}")
