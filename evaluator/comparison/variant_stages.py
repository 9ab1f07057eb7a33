"""Measure one variant on one device, in any process that holds what the baseline left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.comparison.file_scorer import FileScorer, Scored, Subject
from evaluator.comparison.layers.attribution import Attribution, Attributor, attribution_windows
from evaluator.comparison.layers.drift import BaselineStream, Drift
from evaluator.comparison.layers.weight_error import weight_errors
from evaluator.models.model_file import ModelFile
from evaluator.results.hidden_states import HiddenStates
from evaluator.runtime.device import Device
from evaluator.runtime.forward_pass import Advance, shape_of
from evaluator.runtime.memory_plan import plan_branches
from evaluator.support.errors import ComputeError
from evaluator.texts.windows import Window

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ScoredVariant:
    """A variant's scores, and its rows of `layers.parquet`; None if layers were not requested."""

    scored: Scored
    layers: pl.DataFrame | None = None


@dataclass(frozen=True)
class VariantStages:
    """The stages of a variant: scoring, and attributing its divergence to matrices.

    Attributes:
        baseline: the baseline's file.
        scorer: scores files of its shape.
        windows: the windows.
        hidden: returns the baseline's final hidden states, float32 [windows, scored tokens, hidden]; None if they
            are not kept, and variants cannot be scored.
        stream: the baseline's residual stream; None if layers were not requested.
        folder: for branches of an attribution that do not fit into memory.
        stored: returns where a variant's own final hidden states are kept, by its name; None if they are not.
    """

    baseline: ModelFile
    scorer: FileScorer
    windows: Sequence[Window]
    hidden: Callable[[], Values | None]
    stream: BaselineStream | None
    folder: Path
    stored: Callable[[str], HiddenStates | None] = lambda _: None

    def score(
        self, subject: Subject, device: Device, advance: Advance = lambda share, where: None
    ) -> ScoredVariant:
        """Score a variant against the baseline, and measure its layers.

        Args:
            subject: the variant.
            device: where to compute.
            advance: called with the share that is done, and where it stands.

        Raises:
            EvaluatorError: the file cannot be read, onnxruntime failed, or the memory does not suffice.
            OSError: the disk is full.
        """
        hidden = self.hidden()
        if hidden is None:
            raise ComputeError("the baseline was not scored, so variants cannot be compared with it")
        drift = None if self.stream is None else Drift(self.stream, self.scorer.model(device).hidden)
        stored = self.stored(subject.name)
        scored = self.scorer.score(
            subject, self.windows, device, hidden, observer=drift, stored=stored, advance=advance
        )
        if drift is None:
            return ScoredVariant(scored)
        errors = weight_errors(subject.name, subject.file, self.baseline)
        return ScoredVariant(scored, pl.concat([errors, drift.layer_rows(subject.name)]))

    def attribute(
        self, file: ModelFile, device: Device, say: Callable[[str], None] = lambda _: None
    ) -> Attribution:
        """Measure the divergence that each of a variant's matrices causes.

        Args:
            file: the variant.
            device: where to compute.
            say: called with the part being measured.

        Raises:
            EvaluatorError: the file cannot be read, or onnxruntime failed.
            OSError: the disk is full.
        """
        windows, model = attribution_windows(self.windows), self.scorer.model(device)
        budget = self.scorer.budget(device)
        ahead, most_bytes = plan_branches(model, self.baseline, shape_of(model, windows), budget)
        attributor = Attributor(self.baseline, model, windows, self.folder, most_bytes, ahead=ahead)
        return attributor.attribute(file, say)
