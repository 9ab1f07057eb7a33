"""Run a decoding artifact: a prompt at once, then token by token, with the KV cache kept in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.export.packing.genai import PAST, PRESENT
from evaluator.runtime.device import Device
from evaluator.runtime.session import Session


class Decoder:
    """Decodes one sequence with an artifact.

    The KV cache is allocated once, for `capacity` tokens, on the artifact's device and in its precision. It is bound
    as both past and present, so each step appends its keys and values without copying.
    """

    def __init__(self, model: Path, device: Device, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self._session = Session(model, device, alone=True)
        self._binding = self._session.binding()
        self._cache = [self._bind_cache(name) for name in self._session.input_names if name.startswith(PAST)]
        vocabulary = self._session.dimension("logits", -1)
        self._logits = self._session.resident(np.zeros((1, 1, vocabulary), np.float32))
        self._binding.bind_ortvalue_output("logits", self._logits)

    def _bind_cache(self, name: str) -> ort.OrtValue:
        heads, width = (self._session.dimension(name, axis) for axis in (1, 3))
        buffer = self._session.resident(np.zeros((1, heads, self.capacity, width), self._session.dtype(name)))
        self._binding.bind_ortvalue_input(name, buffer)
        self._binding.bind_ortvalue_output(name.replace(PAST, PRESENT), buffer)
        return buffer

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
        self._binding.bind_cpu_input("attention_mask", np.ones((1, self.length), np.int64))
        self._session.run_bound(self._binding)

    def forget(self) -> None:
        """Empty the sequence."""
        self.length = 0
