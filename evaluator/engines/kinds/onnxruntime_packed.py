"""onnxruntime, which runs the packed artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.engines import ENGINES, Bench, Case, Columns, Engine, Memory, Ready, contexts_within
from evaluator.engines.engine_gap import engine_gap
from evaluator.export.exact.context import longest_context
from evaluator.export.folder import MODEL_FILE
from evaluator.export.packing.artifact import most_bytes, write_decoder
from evaluator.export.packing.cache_size import CacheSize
from evaluator.models.architectures.rotary import needs_long_factors
from evaluator.models.mapped import give_pages_back
from evaluator.models.model_file import ModelFile
from evaluator.runtime.peak_memory import peak_memory
from evaluator.runtime.timing import Timing, time_artifact
from evaluator.support.errors import EvaluatorError
from evaluator.support.units import GIGABYTE


@dataclass(frozen=True)
class _Artifact(Ready):
    case: Case
    bench: Bench
    model: Path
    n_bytes: int

    def time(self, *, deep: bool) -> list[Timing]:
        """Time a prompt and the tokens after it, in every round."""
        return time_artifact(self.model, self.bench.device, self.bench.exercise)

    def costs(self) -> Columns:
        """Return the artifact's size, and on a CPU the peak memory; a GPU's is not measured."""
        columns: Columns = {"artifact_bytes": self.n_bytes}
        if self.bench.device.name == "cpu":
            tokens = len(self.bench.exercise.prompt)
            columns["peak_rss_bytes"] = peak_memory(self.model, self.bench.device.threads, tokens)
        return columns

    def losses(self) -> Columns:
        """Return the engine gap.

        It fails where windows are longer than the artifact's context, or where a GPU cannot hold the float32 weights
        to compare with, unless their states are kept. A baseline has none: its artifact holds its exact weights, at
        most rounded to float16. Nor have windows for which the model has other rotary factors than the artifact's.
        """
        bench = self.bench
        if self.case.is_baseline or needs_long_factors(self.case.file, len(bench.windows[0].ids)):
            return {}
        windows, kept = bench.compared_windows, self.case.kept_states()
        gap = engine_gap(self.case.file, bench.graph(), self.model, windows, bench.device, kept)
        return {"deploy_kld_mean": gap}


@ENGINES.register("onnxruntime")
class OnnxRuntime(Engine):
    """Packs each file into an artifact."""

    def why_not(self) -> str | None:
        """Return why no artifact can be built."""
        graph = self.bench.graph()
        if graph.decoder is None and graph.fused is None:
            return f"this model has no decoding graph: {graph.plain_reason}"
        return None

    @property
    def notice(self) -> str | None:
        """What is different on a GPU."""
        if not self._on_gpu:
            return None
        return "artifacts are in half precision; a GPU's peak memory is not measured"

    def settings(self, file: ModelFile) -> Mapping[str, str | int]:
        """Return provider and threads."""
        return {"provider": self.bench.device.provider, "threads": self.bench.device.threads}

    @property
    def _on_gpu(self) -> bool:
        return self.bench.device.name == "cuda"

    @property
    def memory_types(self) -> Sequence[str]:
        """The type of the artifact's cache."""
        return ("f16" if self._on_gpu else "f32",)

    @classmethod
    def knows_memory(cls, measured: Mapping[str, object]) -> bool:
        """Return whether the artifact was made."""
        return measured["artifact_bytes"] is not None

    def memory(self, case: Case, kind: str, measured: Mapping[str, object]) -> list[Memory]:
        """Return the artifact's size, the cache of each context, and what else the timed prompt took at its peak.

        A longer prompt computes in more than that. On a GPU the peak is not measured.

        Raises:
            EvaluatorError: the model has no decoding graph, or names no context.
        """
        cache = CacheSize.of(case.file, self.bench.graph(), half=self._on_gpu)
        weights, peak = measured["artifact_bytes"], measured["peak_rss_bytes"]
        assert isinstance(weights, int)
        timed = cache.at(len(self.bench.exercise.prompt) + 1)
        compute = max(0, peak - weights - timed) if isinstance(peak, int) else None
        contexts = contexts_within(longest_context(case.file))
        return [Memory(context, weights, cache.at(context), compute) for context in contexts]

    def disk_bytes(self, case: Case) -> float:
        """Return the most bytes of an artifact."""
        return most_bytes(case.file, exact=case.is_baseline)

    def prepare(self, case: Case, folder: Path) -> Ready:
        """Write the artifact.

        Raises:
            EvaluatorError: it may take more memory than the run may use, or the file cannot be packed.
        """
        size = self.disk_bytes(case)
        if size > self.bench.memory:
            raise EvaluatorError(
                f"its artifact takes up to {size / GIGABYTE:,.1f} GB, and "
                f"{self.bench.memory / GIGABYTE:,.1f} GB may be used; see --memory"
            )
        graph = self.bench.graph()
        n_bytes = write_decoder(case.file, graph, folder, exact=case.is_baseline, half=self._on_gpu)
        give_pages_back()
        return _Artifact(case, self.bench, folder / MODEL_FILE, n_bytes)
