"""Score files of one shape: their windows layer by layer, within the memory that may be used."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.export.exact.graph import Graph
from evaluator.models.model_file import ModelFile
from evaluator.results.hidden_states import HiddenStates
from evaluator.results.manifest import MemoryUse
from evaluator.runtime.device import Device
from evaluator.runtime.forward_pass import Advance, ForwardPass, Observer, shape_of
from evaluator.runtime.head import Head, WindowScores
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.memory_plan import Budget, MemoryPlan, check_disk, plan_memory
from evaluator.runtime.pass_checkpoint import PassCheckpoint
from evaluator.runtime.scoring import score
from evaluator.support.stage_clock import StageClock
from evaluator.support.units import FLOAT_BYTES
from evaluator.texts.windows import Window, n_scored

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Subject:
    """What is scored: a name for its files, the file, and a digest of its content."""

    name: str
    file: ModelFile
    sha256: str


@dataclass(frozen=True)
class Scored:
    """Scores per window, the provider that computed them, and the seconds that each stage took."""

    scores: list[WindowScores]
    provider: str
    seconds: dict[str, float]


class FileScorer:
    """Scores files of the baseline's shape; a device's pieces are opened once and serve all files.

    Several devices may be used at the same time.
    """

    def __init__(
        self,
        baseline: ModelFile,
        graph: Graph,
        folder: Path,
        *,
        half: bool,
        memory: float | None,
        passes: int = 1,
    ) -> None:
        """Take what all files share.

        Args:
            baseline: the baseline.
            graph: the graph of all files.
            folder: for hidden states and checkpoints; an unfinished pass continues from those of an earlier run.
            half: whether to compute in half precision.
            memory: gigabytes that may be used; None for a share of what is free.
            passes: how many files are scored at a time.
        """
        self._passes = passes
        self._baseline, self._graph, self._folder = baseline, graph, folder
        self._half, self._memory = half, memory
        self._models: dict[int, LayeredModel] = {}
        self._opening = threading.Lock()

    def model(self, device: Device) -> LayeredModel:
        """Return the pieces on a device.

        Raises:
            ExportError: the graph cannot be cut.
            ComputeError: onnxruntime does not run a piece on the device.
        """
        with self._opening:
            if device.index not in self._models:
                self._models[device.index] = LayeredModel(self._graph, device, half=self._half)
            return self._models[device.index]

    def check_memory(self, windows: Sequence[Window], device: Device) -> MemoryUse:
        """Check that passes of `windows` fit into memory and on the disk, and return what is kept where.

        Raises:
            RequestError: they do not fit; the message names a way out.
        """
        budget, plan = self._plan(windows, device)
        states = FLOAT_BYTES * n_scored(windows) * self.model(device).hidden
        streams = self._passes * (2 * plan.stream_bytes + states) if plan.place == "disk" else 0
        # A stopped run left some of these values.
        held = sum(path.stat().st_size for path in self._folder.glob("*") if path.is_file())
        check_disk(self._folder.parent, max(0, states + streams - held), "an --out on another disk")
        return MemoryUse(
            budget_bytes=budget.host,
            requested=budget.requested,
            streams=plan.place,
            stream_bytes=plan.stream_bytes,
            piece_bytes=plan.piece_bytes,
            ahead=plan.ahead,
        )

    def host_bytes(self, windows: Sequence[Window], device: Device) -> int:
        """Return the bytes of the computer's memory that a pass of `windows` takes at most.

        Raises:
            RequestError: it does not fit; the message names a way out.
        """
        return self._plan(windows, device)[1].host_bytes

    def budget(self, device: Device) -> Budget:
        """Return the bytes that one pass may use now."""
        return Budget.on(device, self._memory, self._passes)

    def _plan(self, windows: Sequence[Window], device: Device) -> tuple[Budget, MemoryPlan]:
        budget, model = self.budget(device), self.model(device)
        return budget, plan_memory(model, self._baseline, shape_of(model, windows), budget)

    def score(
        self,
        subject: Subject,
        windows: Sequence[Window],
        device: Device,
        baseline: Values | None,
        *,
        observer: Observer | None = None,
        stored: HiddenStates | None = None,
        advance: Advance = lambda share, where: None,
    ) -> Scored:
        """Score all windows.

        Args:
            subject: the file.
            windows: windows of one length.
            device: where to compute.
            baseline: the baseline's final hidden states, float32 [windows, scored tokens, hidden]; None to score
                without a baseline.
            observer: takes samples of the residual stream.
            stored: where the file's own final hidden states are kept.
            advance: called with the share that is done, and where it stands.

        Raises:
            EvaluatorError: the file cannot be read, onnxruntime failed, or the memory does not suffice any more.
            OSError: the disk is full.
        """
        model, (_, plan) = self.model(device), self._plan(windows, device)
        self._folder.mkdir(parents=True, exist_ok=True)
        checkpoint = PassCheckpoint(
            self._folder, subject.name, self._identity(subject, windows, device, observer)
        )
        passing = ForwardPass(model, subject.file, windows, plan, observer, checkpoint=checkpoint)
        kept = stored
        if stored is None and plan.place == "disk":
            kept = HiddenStates(self._folder / f"{subject.name}.hidden.npy")
        clock = StageClock()
        with clock.running():
            head = Head.of(subject.file, None if baseline is None else self._baseline, device)
            scores = score(passing, head, baseline, kept, advance)
        checkpoint.remove()
        if kept is not None and stored is None:
            kept.path.unlink()
        return Scored(scores, model.provider, {str(name): value for name, value in clock.seconds.items()})

    def _identity(
        self, subject: Subject, windows: Sequence[Window], device: Device, observer: Observer | None
    ) -> str:
        """Return a digest of everything that a pass's state depends on: streams, and what is gathered of them."""
        digest = hashlib.sha256()
        pieces = self.model(device).pieces
        kind = (subject.sha256, device.name, device.threads, self._half, len(pieces), ort.__version__)
        sampled = (sorted(observer.windows), observer.rows.tolist()) if observer else None
        digest.update(repr((kind, sampled)).encode())
        # Another version of this program may cut the graph otherwise.
        parts = [part for piece in pieces for part in (piece, piece.experts) if part]
        for model in dict.fromkeys(part.model for part in parts):
            digest.update(model)
        for window in windows:
            digest.update(window.ids.tobytes())
        return digest.hexdigest()
