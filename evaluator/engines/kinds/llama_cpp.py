"""llama.cpp, which runs a GGUF file as users download it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from evaluator.engines import ENGINES, Bench, Case, Columns, Engine, Memory, Ready
from evaluator.engines.llama_cpp.library import llama_library
from evaluator.engines.llama_cpp.process import llama_answer
from evaluator.engines.llama_cpp.scoring import llama_losses
from evaluator.engines.llama_cpp.settings import CACHE_TYPES, Settings
from evaluator.models.gguf.reader import GGUFFile
from evaluator.models.gguf.split import SplitGGUF
from evaluator.models.model_file import ModelFile
from evaluator.runtime.timing import Timing
from evaluator.support.errors import EvaluatorError
from evaluator.support.units import GIGABYTE

#: Tokens in the cache where decoding is timed besides an empty cache and the prompt.
_DEEP = 4096
#: Types of the cache whose memory is told besides that of timed runs.
_SMALLER_CACHES = ("q8_0", "q4_0")


def path_of(file: ModelFile) -> str:
    """Return the path that llama.cpp opens: of a split file, the first part."""
    return str(file.files[0])


@dataclass(frozen=True)
class _File(Ready):
    case: Case
    bench: Bench
    settings: Settings

    def time(self, *, deep: bool) -> list[Timing]:
        """Time tokens on an empty cache, after the prompt and, if `deep`, after thousands of tokens."""
        exercise = self.bench.exercise
        prompt = len(exercise.prompt)
        answer = llama_answer(
            "times",
            path=path_of(self.case.file),
            prompt=exercise.prompt.tolist(),
            following=exercise.following.tolist(),
            depths=[0, prompt, *([_DEEP] if deep else [])],
            settings=self.settings,
        )
        return [Timing(*values) for values in answer]

    def costs(self) -> Columns:
        """Return the peak memory on a CPU; a GPU's is not measured."""
        if self.bench.device.name != "cpu":
            return {}
        prompt = len(self.bench.exercise.prompt)
        peak = llama_answer("memory", path=path_of(self.case.file), tokens=prompt, settings=self.settings)
        return {"peak_rss_bytes": peak}

    def losses(self) -> Columns:
        """Return the divergences from the file's own and the baseline's exact weights, and the perplexity."""
        losses = llama_losses(self.case, self.bench, self.settings)
        return {f"{LlamaCpp.prefix}{name}": value for name, value in losses.items()}

    def with_cache(self, kind: str) -> Ready:
        """Return the same file with keys and values of another type."""
        return replace(self, settings=replace(self.settings, cache=kind))

    def cache_bytes(self) -> float:
        """Return the bytes that a token takes, from the bytes of half a window and a whole one."""
        ids = self.bench.windows[0].ids
        half, whole = llama_answer(
            "cache", path=path_of(self.case.file), ids=ids.tolist(), settings=self.settings
        )
        return float((whole - half) / (len(ids) - len(ids) // 2))


@ENGINES.register("llama.cpp")
class LlamaCpp(Engine):
    """Runs GGUF files with the settings of llama.cpp's own programs, on a GPU if its library has a backend for it."""

    prefix = "llamacpp_"
    loss = "llamacpp_kld_mean"
    cache_types = tuple(CACHE_TYPES)
    usual_cache = Settings.cache

    @classmethod
    def why_missing(cls) -> str | None:
        """Return why there is no library, or none that can be used."""
        try:
            llama_library()
        except EvaluatorError as error:
            return str(error)
        return None

    def why_not(self) -> str | None:
        """Return why llama.cpp cannot be run here."""
        if reason := self.why_missing():
            return reason
        try:
            offloads = (
                self._on_gpu and llama_answer("build", path=None, settings=self._settings)["gpu_backend"]
            )
        except EvaluatorError as error:
            return str(error)
        if self._on_gpu and not offloads:
            return "this run measures a GPU, and llama.cpp's library has no backend for one"
        return None

    @classmethod
    def declines(cls, file: ModelFile) -> str | None:
        """Return why a file is none for llama.cpp."""
        return None if isinstance(file, (GGUFFile, SplitGGUF)) else "because they are no GGUF files"

    @property
    def notice(self) -> str | None:
        """What is different on a GPU."""
        return "llama.cpp uses every GPU that it sees; their memory is not measured" if self._on_gpu else None

    def settings(self, file: ModelFile) -> Mapping[str, str | int]:
        """Return threads, batches, flash attention, the type of the cache, and which build of llama.cpp computes."""
        given = asdict(self._settings)
        for path in (path_of(file), None):
            with suppress(EvaluatorError):  # a file that cannot be run is said where it is run
                given |= llama_answer("build", path=path, settings=self._settings)
                break
        return given

    @property
    def _on_gpu(self) -> bool:
        return self.bench.device.name == "cuda"

    @property
    def _settings(self) -> Settings:
        return Settings(self.bench.device.threads, n_gpu_layers="all" if self._on_gpu else "none")

    @property
    def memory_types(self) -> Sequence[str]:
        """The type of timed runs, and two of a half and a quarter of its size."""
        return tuple(dict.fromkeys((self._settings.cache, *_SMALLER_CACHES)))

    @classmethod
    def knows_memory(cls, measured: Mapping[str, object]) -> bool:
        """It always is, because llama.cpp computes it."""
        return True

    def memory(self, case: Case, kind: str, measured: Mapping[str, object]) -> list[Memory]:
        """Return what llama.cpp would reserve for a file, with the settings of timed runs.

        Raises:
            EvaluatorError: llama.cpp refused the file, or the type of the cache.
        """
        settings = replace(self._settings, cache=kind)
        answer = llama_answer("reserved", path=path_of(case.file), settings=settings)
        return [Memory(**values) for values in answer]

    def prepare(self, case: Case, folder: Path) -> Ready:
        """Check that the file's weights fit into memory.

        Raises:
            EvaluatorError: they do not.
        """
        size = case.file.size_bytes
        if size > self.bench.memory:
            raise EvaluatorError(
                f"it takes {size / GIGABYTE:,.1f} GB, and {self.bench.memory / GIGABYTE:,.1f} GB may be used; "
                "see --memory"
            )
        return _File(case, self.bench, self._settings)
