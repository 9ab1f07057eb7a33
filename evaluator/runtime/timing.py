"""Time a decoding artifact: its load, its prefill of a prompt, and each decoded token."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluator.runtime.decoding import Decoder
from evaluator.runtime.device import Device

Tokens = npt.NDArray[np.int32]

#: What `llama-bench -p 256` and `llama-bench -d 256 -n 32` time.
_PROMPT, _DECODED = 256, 32
_WARM_UP = 8


@dataclass(frozen=True)
class Timing:
    """One timed repetition: `tokens` tokens in `seconds`, after `context` tokens already in the cache."""

    phase: str
    tokens: int
    seconds: float
    context: int


@dataclass(frozen=True)
class Exercise:
    """The tokens that are timed: a prompt, and those that follow it one by one."""

    prompt: Tokens
    following: Tokens

    @classmethod
    def of(cls, ids: Tokens) -> Exercise:
        """Take the first 256 tokens of a text and the next 32; of a shorter text, one half each."""
        n_prompt = min(_PROMPT, len(ids) // 2)
        return cls(ids[:n_prompt], ids[n_prompt : n_prompt + _DECODED])


def time_artifact(model: Path, device: Device, exercise: Exercise) -> list[Timing]:
    """Load an artifact, warm it up, then time the prompt once and each following token on its own."""
    start = time.perf_counter()
    decoder = Decoder(model, device, len(exercise.prompt) + len(exercise.following))
    timings = [Timing("load", 0, time.perf_counter() - start, 0)]
    # Warm-up, not timed: first runs allocate memory and, on a GPU, choose kernels for each new length.
    first = exercise.prompt if device.name == "cuda" else exercise.prompt[:_WARM_UP]
    for warm in (first, exercise.prompt[:1]):
        decoder.advance(warm)
    decoder.forget()
    timings.append(_time_step("prefill", decoder, exercise.prompt))
    timings += [_time_step("decode", decoder, token) for token in exercise.following[:, None]]
    return timings


def _time_step(phase: str, decoder: Decoder, ids: Tokens) -> Timing:
    context = decoder.length
    start = time.perf_counter()
    decoder.advance(ids)
    return Timing(phase, len(ids), time.perf_counter() - start, context)
