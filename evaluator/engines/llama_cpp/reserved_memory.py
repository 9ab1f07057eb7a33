"""The memory that llama.cpp reserves for a file, computed by llama.cpp itself without allocating it."""

from __future__ import annotations

import re

from evaluator.engines import Memory, contexts_within
from evaluator.engines.llama_cpp.model import KeptLog, LlamaContext, LlamaModel
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.support.errors import EvaluatorError

_MEBIBYTE = 1 << 20
#: In llama.cpp's log, with two decimals: each cache of a context, whatever it holds, and each buffer to compute in.
_CACHE = re.compile(r"size = +([\d.]+) MiB \( *\d+ cells")
_COMPUTE = re.compile(r"(?:compute|output) buffer size = +([\d.]+) MiB")
#: What it says of a model that is not allocated.
_UNDERSTOOD = re.compile(r"no_alloc +=\s1")


def reserved_memory(path: str, settings: Settings) -> list[Memory]:
    """Return what a file takes for each of `CONTEXTS` up to the model's own, to 0.01 MiB.

    The log tells the caches (of models with a sliding window or with states there are several) and the buffers, on
    all devices together. The library itself and the tables of the vocabulary are not counted.

    Raises:
        EvaluatorError: llama.cpp does not load the file, makes no context, or does not say what it would take.
    """
    log = KeptLog()
    with LlamaModel(path, simulated=True, n_gpu_layers=settings.n_gpu_layers, log=log.add) as model:
        if not _UNDERSTOOD.search(log.take()):
            raise EvaluatorError("this release of llama.cpp does not tell sizes without allocating them")
        found = []
        for context in contexts_within(model.trained_context):
            with LlamaContext(model, context, settings):
                told = log.take()
            sizes = [_total(pattern, told) for pattern in (_CACHE, _COMPUTE)]
            found.append(Memory(context, model.n_bytes, *sizes))
            log.take()
    return found


def _total(pattern: re.Pattern[str], log: str) -> int | None:
    """Return the sum of the sizes in bytes that a log tells; None if it tells none."""
    sizes = [float(size) for size in pattern.findall(log)]
    return round(_MEBIBYTE * sum(sizes)) if sizes else None
