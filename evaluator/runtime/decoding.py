"""Runs a decoding artifact: a prompt at once, then token by token, keys and values kept in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.export.packing.genai import PAST, PRESENT
from evaluator.runtime.device import Device
from evaluator.runtime.session import Session


class Decoder:
    """One sequence in an artifact's folder.

    The cache is allocated once, for `room` tokens, where the artifact runs and in the precision that it declares,
    and bound as past and as present: each step writes its keys and values behind those that are there, nothing is
    copied.
    """

    def __init__(self, model: Path, device: Device, room: int) -> None:
        self.room = room
        self.length = 0
        self._session = Session(model, device)
        self._binding = self._session.binding()
        self._cache = [self._bind_cache(name) for name in self._session.input_names if name.startswith(PAST)]
        vocabulary = self._session.dimension("logits", -1)
        self._logits = self._session.resident(np.zeros((1, 1, vocabulary), np.float32))
        self._binding.bind_ortvalue_output("logits", self._logits)

    def _bind_cache(self, name: str) -> ort.OrtValue:
        heads, width = (self._session.dimension(name, axis) for axis in (1, 3))
        buffer = self._session.resident(np.zeros((1, heads, self.room, width), self._session.dtype(name)))
        self._binding.bind_ortvalue_input(name, buffer)
        self._binding.bind_ortvalue_output(name.replace(PAST, PRESENT), buffer)
        return buffer

    def step(self, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Append tokens, int [n], and return the logits behind the last, float32 [vocabulary].

        Raises:
            ValueError: there is no room for so many.
        """
        self.advance(ids)
        logits: npt.NDArray[np.float32] = self._logits.numpy()[0, 0]
        return logits

    def advance(self, ids: npt.NDArray[np.integer]) -> None:
        """Append tokens, int [n]; the logits are computed when this returns, and stay where they are.

        Raises:
            ValueError: there is no room for so many.
        """
        if self.length + len(ids) > self.room:
            raise ValueError(f"{self.length} + {len(ids)} tokens do not fit into a cache for {self.room}")
        self.length += len(ids)
        self._binding.bind_cpu_input("input_ids", np.ascontiguousarray(ids, np.int64)[None])
        self._binding.bind_cpu_input("attention_mask", np.ones((1, self.length), np.int64))
        self._session.run_bound(self._binding)

    def forget(self) -> None:
        """Start again with an empty sequence."""
        self.length = 0
