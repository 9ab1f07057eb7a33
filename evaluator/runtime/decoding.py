"""Run a decoding artifact: a prompt at once, then token by token, with the KV cache kept in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.export.fusion.uses import ATTENTION_MASK, PAST, PRESENT
from evaluator.runtime.device import Device
from evaluator.runtime.session import Session


class Decoder:
    """Decodes one sequence with an artifact.

    The KV cache is allocated once, for `capacity` tokens, on the artifact's device and in its precision. It is bound
    as both past and present, so each step appends its keys and values without copying. A state of fixed size has two
    buffers, which change places after each step.
    """

    def __init__(self, model: Path, device: Device, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self._session = Session(model, device, alone=True)
        self._binding = self._session.binding()
        past = [name for name in self._session.input_names if name.startswith(PAST)]
        self._cache = [self._bind_cache(name) for name in past if self._session.grows(name)]
        self._states = {name: self._two_buffers(name) for name in past if not self._session.grows(name)}
        vocabulary = self._session.dimension("logits", -1)
        self._logits = self._session.resident(np.zeros((1, 1, vocabulary), np.float32))
        self._binding.bind_ortvalue_output("logits", self._logits)

    def _bind_cache(self, name: str) -> ort.OrtValue:
        buffer = self._session.resident(self._session.empty_past(name, self.capacity))
        self._binding.bind_ortvalue_input(name, buffer)
        self._binding.bind_ortvalue_output(name.replace(PAST, PRESENT), buffer)
        return buffer

    def _two_buffers(self, name: str) -> list[ort.OrtValue]:
        return [self._session.resident(self._session.empty_past(name, 0)) for _ in range(2)]

    def step(self, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Append tokens, int [n], and return the logits after the last, float32 [vocabulary].

        Raises:
            ValueError: the cache is too small.
        """
        self.advance(ids)
        logits: npt.NDArray[np.float32] = self._logits.numpy()[0, 0]
        return logits

    def advance(self, ids: npt.NDArray[np.integer]) -> None:
        """Append tokens, int [n]; on return the logits are computed, but not copied off the device.

        Raises:
            ValueError: the cache is too small.
        """
        if self.length + len(ids) > self.capacity:
            raise ValueError(f"{self.length} + {len(ids)} tokens do not fit into a cache for {self.capacity}")
        self.length += len(ids)
        self._binding.bind_cpu_input("input_ids", np.ascontiguousarray(ids, np.int64)[None])
        if ATTENTION_MASK in self._session.input_names:
            self._binding.bind_cpu_input(ATTENTION_MASK, np.ones((1, self.length), np.int64))
        for name, (old, new) in self._states.items():
            self._binding.bind_ortvalue_input(name, old)
            self._binding.bind_ortvalue_output(name.replace(PAST, PRESENT), new)
        self._session.run_bound(self._binding)
        for buffers in self._states.values():
            buffers.reverse()

    def forget(self) -> None:
        """Empty the sequence."""
        self.length = 0
        self._states = {name: self._two_buffers(name) for name in self._states}
