"""The logits of a GGUF file of any architecture by llama.cpp, in full float32.

Flash attention is off, keys and values are kept as float32, each window is one batch on cleared memory and
begins with its own first id (no BOS is added).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluator.engines.llama_cpp import process
from evaluator.engines.llama_cpp.settings import Settings


class LlamaError(RuntimeError):
    """llama.cpp refused the file or ended; the message names the file and holds what its log says."""


def float32_settings(length: int) -> Settings:
    """Return the settings of windows of `length` tokens."""
    # Threads that wait for each other cost more than the products of tiny models.
    threads = 1 if length <= 1024 else os.cpu_count() or 1
    return Settings(threads, max(length, 64), max(length, 64), "off", "f32")


def nll(path: Path | str, ids: ArrayLike) -> NDArray[np.float64]:
    """Return the negative log-likelihood of each next token.

    Args:
        path: A GGUF file.
        ids: Token ids [windows, length]; one window may be given as [length].

    Returns:
        Nats [windows, length - 1], computed in float64 from llama.cpp's float32 logits.

    Raises:
        LlamaError: llama.cpp does not load the file or does not compute it.
    """
    windows = np.atleast_2d(np.asarray(ids, np.int32))
    values = logits(path, windows)
    return np.stack([_next_nll(*window) for window in zip(values, windows, strict=True)])


def logits(path: Path | str, ids: ArrayLike) -> NDArray[np.float32]:
    """Return the logits at every position, float32 [windows, length, vocabulary]; see `nll`."""
    return logits_of_many([path], ids)[0]


def logits_of_many(paths: Sequence[Path | str], ids: ArrayLike) -> list[NDArray[np.float32]]:
    """Return `logits` of several files, computed in one process: a tenth of the time for tiny ones."""
    windows = np.atleast_2d(np.asarray(ids, np.int32))
    count, length = windows.shape
    found: list[NDArray[np.float32]] = []
    try:
        with process.llama_logits(paths, windows, 0, length, float32_settings(length)) as files:
            for file in files:
                found.append(file.rows(count * length).reshape(count, length, -1))
    except process.LlamaError as error:
        raise LlamaError(f"{paths[len(found)]}: {error}") from error
    return found


def _next_nll(values: NDArray[np.float32], ids: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the nats [length - 1] of `ids[1:]` under logits [length, vocabulary]."""
    wide = values[:-1].astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    chosen = np.take_along_axis(wide, ids[1:, None].astype(np.int64), axis=1)[:, 0]
    return np.asarray(np.log(np.exp(wide).sum(axis=1)) - chosen)
