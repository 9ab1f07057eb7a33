"""The process that runs llama.cpp: `python -m evaluator.engines.llama_cpp.worker TASK`, with a request on stdin.

The request is a line of JSON; stdin must stay open until the answer has come. What a task writes to stdout is
described at its function; why it failed is on stderr.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import IO, Any

import numpy as np

from evaluator.engines.llama_cpp.build import describe
from evaluator.engines.llama_cpp.model import LlamaContext, LlamaModel
from evaluator.engines.llama_cpp.reserved_memory import reserved_memory
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.runtime.peak_memory import own_peak
from evaluator.support.errors import EvaluatorError

#: Reading up to a depth that would take more seconds than this is left out.
_MOST_SECONDS = 30.0


def _logits(
    out: IO[bytes],
    *,
    paths: Sequence[str],
    windows: Sequence[Sequence[int]],
    first: int,
    stop: int,
    settings: dict[str, Any],
) -> None:
    """For each file write the size of its vocabulary, int64, then all windows' logits, float32 [rows, vocabulary].

    A window's rows are the positions `first` to before `stop`; it begins on an empty cache.
    """
    for path in paths:
        with LlamaModel(path, n_gpu_layers=settings["n_gpu_layers"]) as model:
            out.write(np.int64(model.n_tokens).tobytes())
            out.flush()  # the reader may find that it fits to nothing
            with LlamaContext(model, max(map(len, windows)), Settings(**settings)) as context:
                for ids in windows:
                    context.clear()
                    for values in context.logits(ids, first, stop):
                        out.write(values.data)


def _times(
    out: IO[bytes],
    *,
    path: str,
    prompt: Sequence[int],
    following: Sequence[int],
    depths: Sequence[int],
    settings: dict[str, Any],
) -> None:
    """Write [phase, tokens, seconds, context] of a load, prompts and single tokens, as JSON.

    `prompt` is read on an empty cache, and `following` is decoded one by one at each of `depths`, which begin with
    0 and the prompt's length; deeper ones are reached by reading `prompt` again, and left out if they are beyond the
    model's own context or take too long to reach. As in llama-bench, the prompt and a token are computed once
    before any is timed, and each token is waited for.
    """
    start = time.perf_counter()
    with LlamaModel(path, n_gpu_layers=settings["n_gpu_layers"]) as model:
        # A file may name a context shorter than the protocol's, which is timed all the same.
        kept = [
            *depths[:2],
            *(depth for depth in depths[2:] if depth + len(following) <= model.trained_context),
        ]
        with LlamaContext(model, max(kept) + len(following), Settings(**settings)) as context:
            times: list[tuple[str, int, float, int]] = [("load", 0, time.perf_counter() - start, 0)]

            def timed(phase: str, ids: Sequence[int]) -> float:
                before, begin = context.length, time.perf_counter()
                context.advance(ids)
                seconds = time.perf_counter() - begin
                times.append((phase, len(ids), seconds, before))
                return seconds

            for warm in (prompt, prompt[:1]):
                context.advance(warm)
            context.clear()
            per_token = 0.0
            for depth in kept:
                if depth == len(prompt):
                    context.clear()
                missing = depth - context.length
                if missing > 0:
                    if missing * per_token > _MOST_SECONDS:
                        break
                    per_token = timed("prefill", np.resize(prompt, missing).tolist()) / missing
                for token in following:
                    timed("decode", [token])
        out.write(json.dumps(times).encode())


def _windows(
    out: IO[bytes],
    *,
    path: str,
    windows: Sequence[Sequence[int]],
    first: int,
    stop: int,
    settings: dict[str, Any],
) -> None:
    """Write the seconds that the logits of each window take, as JSON.

    They are those of positions `first` to before `stop`; a window begins on an empty cache. The first one is
    computed once before it is timed.
    """
    with (
        LlamaModel(path, n_gpu_layers=settings["n_gpu_layers"]) as model,
        LlamaContext(model, max(map(len, windows)), Settings(**settings)) as context,
    ):
        seconds = []
        for ids in [windows[0], *windows]:
            context.clear()
            start = time.perf_counter()
            for _ in context.logits(ids, first, stop):
                pass
            seconds.append(time.perf_counter() - start)
        out.write(json.dumps(seconds[1:]).encode())


def _memory(out: IO[bytes], *, path: str, tokens: int, settings: dict[str, Any]) -> None:
    """Write this process's peak resident bytes after a prompt of `tokens` tokens and one more, as JSON."""
    with (
        LlamaModel(path, n_gpu_layers=settings["n_gpu_layers"]) as model,
        LlamaContext(model, tokens + 1, Settings(**settings)) as context,
    ):
        context.advance([0] * tokens)
        context.advance([0])
        out.write(json.dumps(own_peak()).encode())


def _cache(out: IO[bytes], *, path: str, ids: Sequence[int], settings: dict[str, Any]) -> None:
    """Write the bytes in the cache after half of `ids`, and after all, as JSON."""
    half = len(ids) // 2
    with (
        LlamaModel(path, n_gpu_layers=settings["n_gpu_layers"]) as model,
        LlamaContext(model, len(ids), Settings(**settings)) as context,
    ):
        sizes = []
        for part in (ids[:half], ids[half:]):
            context.advance(part)
            sizes.append(context.cache_bytes)
        out.write(json.dumps(sizes).encode())


def _reserved(out: IO[bytes], *, path: str, settings: dict[str, Any]) -> None:
    """Write the attributes of each `Memory`, as JSON."""
    out.write(json.dumps([asdict(memory) for memory in reserved_memory(path, Settings(**settings))]).encode())


def _build(out: IO[bytes], *, path: str | None, settings: dict[str, Any]) -> None:
    """Write what `describe` returns, as JSON."""
    out.write(json.dumps(describe(path, Settings(**settings))).encode())


def _vocabulary(out: IO[bytes], *, paths: Sequence[str], texts: Sequence[str], parse_special: bool) -> None:
    """Write each file's BOS and the ids of all texts with the seconds that each took, as JSON."""
    answers = []
    for path in paths:
        with LlamaModel(path, vocabulary_only=True) as model:
            ids, seconds = [], []
            for text in texts:
                start = time.perf_counter()
                ids.append(model.tokenize(text, parse_special=parse_special))
                seconds.append(time.perf_counter() - start)
            answers.append({"bos_id": model.bos_id, "ids": ids, "seconds": seconds})
    out.write(json.dumps(answers).encode())


_TASKS: dict[str, Callable[..., None]] = {
    "logits": _logits,
    "times": _times,
    "windows": _windows,
    "memory": _memory,
    "cache": _cache,
    "reserved": _reserved,
    "build": _build,
    "vocabulary": _vocabulary,
}


def _end_with_parent() -> None:
    """End this process when its stdin ends, as it does when whoever asked was killed."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _main(task: str) -> None:
    # What libraries print must not get between the answers.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        try:
            request = json.loads(sys.stdin.buffer.readline())
            threading.Thread(target=_end_with_parent, daemon=True).start()
            _TASKS[task](out, **request)
        except EvaluatorError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    _main(sys.argv[1])
