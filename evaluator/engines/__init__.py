"""Run files in the engines that people use, and measure speed, memory and what an engine adds to the loss.

An engine is one file in `evaluator/engines/kinds/`, which registers a class; its columns of the variants frame are
those of a metric family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from evaluator.support.errors import EvaluatorError
from evaluator.support.registry import Registry

if TYPE_CHECKING:  # processes that run an engine's library import this package and need none of these
    from evaluator.export.exact.graph import Graph
    from evaluator.models.model_file import ModelFile
    from evaluator.runtime.device import Device
    from evaluator.runtime.timing import Exercise, Timing
    from evaluator.texts.windows import Window

Values = npt.NDArray[np.float32]
Columns = dict[str, float | int]


class EngineError(EvaluatorError):
    """An engine refused a file, or its process ended: it runs nothing of the file."""


@dataclass(frozen=True)
class Case:
    """A file that engines run.

    Attributes:
        label: its name on the terminal.
        file: the file.
        is_baseline: whether it is the baseline.
        states: returns its exact final hidden states of each window to compare, float32 [scored tokens, hidden].
        kept_states: returns the same if they need not be computed, else None.
        nll: returns what its exact weights give for each scored token, in nats, NaN where not finite, float32
            [windows, scored tokens].
        kld: returns its exact weights' KL divergence from the baseline's, in the same form; of the baseline 0.
    """

    label: str
    file: ModelFile
    is_baseline: bool
    states: Callable[[], Sequence[Values]]
    kept_states: Callable[[], Sequence[Values] | None]
    nll: Callable[[], Values]
    kld: Callable[[], Values]


@dataclass(frozen=True)
class Bench:
    """What a run gives to its engines.

    Attributes:
        device: where to compute.
        windows: the windows.
        exercise: the tokens that are timed.
        memory: bytes that a model may take.
        graph: returns the graph of all files.
        baseline: the baseline.
        say: called with what a user must know.
        compared: places of the windows that are compared if an engine compares whole texts.
    """

    device: Device
    windows: Sequence[Window]
    exercise: Exercise
    memory: int
    graph: Callable[[], Graph]
    baseline: Case
    say: Callable[[str], None]
    compared: Sequence[int]

    @property
    def compared_windows(self) -> list[Window]:
        """The windows that are compared."""
        return [self.windows[place] for place in self.compared]


#: Contexts in tokens for which the memory is computed, up to a model's own.
CONTEXTS = (512, 4096, 16384, 65536, 131072)
#: The longest context of a published model, Llama 4 Scout's. llama.cpp takes some 50 bytes per token of a context
#: that it does not allocate, so one that a broken file names may be more than the machine has.
_LONGEST = 10 << 20


def contexts_within(longest: int) -> list[int]:
    """Return those of `CONTEXTS` that are shorter than a model's longest context, and that one if it is credible."""
    shorter = [context for context in CONTEXTS if context < longest]
    return [*shorter, longest] if longest <= _LONGEST else shorter


@dataclass(frozen=True)
class Memory:
    """The bytes that running a file takes; None where they are not known.

    Attributes:
        context: tokens that the cache has room for.
        weights_bytes: the weights, as the engine holds them.
        cache_bytes: cached keys and values, and states.
        compute_bytes: what it computes in.
    """

    context: int
    weights_bytes: int | None
    cache_bytes: int | None
    compute_bytes: int | None


class Ready(ABC):
    """A file that is ready to run in an engine; every method may raise an `EvaluatorError`."""

    @abstractmethod
    def time(self, *, deep: bool) -> list[Timing]:
        """Time one round: a load, a prompt, and tokens decoded one by one; if `deep`, also after many tokens.

        Reading up to there takes long, so that not every round is deep.
        """

    @abstractmethod
    def costs(self) -> Columns:
        """Return what running it takes besides time, as columns without the engine's prefix."""

    @abstractmethod
    def losses(self) -> Columns:
        """Return what the engine adds to the loss, as columns."""

    def with_cache(self, kind: str) -> Ready:
        """Return the same file with one of the engine's `cache_types`."""
        raise NotImplementedError

    def cache_bytes(self) -> float:
        """Return the bytes that a token takes in the cache."""
        raise NotImplementedError


class Engine(ABC):
    """An engine.

    Attributes:
        prefix: of its columns for times and memory, which are otherwise named alike.
        loss: column that is null until its losses are measured; None if they are measured only along with times.
        cache_types: types that cached keys and values may have, if there is a choice.
        usual_cache: the one of them that columns are measured with.
    """

    prefix: ClassVar[str] = ""
    loss: ClassVar[str | None] = None
    cache_types: ClassVar[Sequence[str]] = ()
    usual_cache: ClassVar[str | None] = None

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @classmethod
    def why_missing(cls) -> str | None:
        """Return why this machine does not have it, with a way out; None if it has."""
        return None

    @abstractmethod
    def why_not(self) -> str | None:
        """Return why it runs no file of this run; None if it may."""

    @classmethod
    def declines(cls, file: ModelFile) -> str | None:
        """Return why it does not run a file; None if it tries to."""
        return None

    @property
    def notice(self) -> str | None:
        """What a reader must know about its times; None if nothing."""
        return None

    @abstractmethod
    def settings(self, file: ModelFile) -> Mapping[str, str | int]:
        """Return how it runs the files of a comparison, of which this is one, for the manifest."""

    @property
    def memory_types(self) -> Sequence[str]:
        """Types of the cache whose memory is told even if nobody asked for them; that of timed runs first."""
        return ()

    @classmethod
    def knows_memory(cls, measured: Mapping[str, object]) -> bool:
        """Return whether `memory` can be told, given the row of the variants frame as measured so far."""
        return False

    def memory(self, case: Case, kind: str, measured: Mapping[str, object]) -> list[Memory]:
        """Return the bytes that running a file takes with a type of the cache, for several contexts.

        Args:
            case: the file.
            kind: the type of the cache.
            measured: the file's row of the variants frame.

        Raises:
            EvaluatorError: they are not known.
        """
        raise NotImplementedError

    def disk_bytes(self, case: Case) -> float:
        """Return the bytes that `prepare` may write."""
        return 0

    @abstractmethod
    def prepare(self, case: Case, folder: Path) -> Ready:
        """Make a file ready to run, with what it needs on disk in a folder of its own.

        Raises:
            EvaluatorError: it cannot be run.
        """


ENGINES: Registry[type[Engine]] = Registry("engine", f"{__name__}.kinds")
