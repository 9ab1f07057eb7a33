"""Which execution provider runs, and how many threads."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from evaluator.runtime.gpus import CUDA_PROVIDER, gpu_works, obstacle, visible_gpus

DeviceChoice = Literal["auto", "cpu", "cuda"]
_CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class Device:
    """A provider that was seen to work, and what to say about how it was chosen; `index` counts equal ones."""

    name: Literal["cpu", "cuda"]
    provider: str
    threads: int
    notice: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    index: int = 0

    @property
    def providers(self) -> list[Any]:
        """Onnxruntime's provider list; CPU stays behind CUDA for shape arithmetic."""
        if self.provider == _CPU:
            return [self.provider]
        return [(self.provider, self.options | {"device_id": str(self.index)}), _CPU]

    @property
    def memory(self) -> str:
        """Where onnxruntime keeps this device's arrays, in its own words."""
        return "cuda" if self.provider == CUDA_PROVIDER else "cpu"


def usable_cores() -> int:
    """Cores this process may run on (not those of the whole machine, which a container does not have)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_device(choice: DeviceChoice, threads: int | None = None) -> Device:
    """The first of `choose_devices`."""
    return choose_devices(choice, threads)[0]


def choose_devices(choice: DeviceChoice, threads: int | None = None) -> list[Device]:
    """Every GPU that works, or the CPU.

    Of several kinds of GPU only the first is taken: they choose other kernels, which round otherwise, and then a
    copy of the baseline would seem to differ from it. Where a GPU was asked for, or is there, and cannot be used,
    the CPU's `notice` says why.
    """
    count = threads or usable_cores()
    names = visible_gpus() if choice != "cpu" else []
    reason = obstacle(len(names)) if choice != "cpu" else None
    if choice == "cpu" or reason:
        return [Device("cpu", _CPU, count, _notice(choice, names, reason))]
    # TF32 would round the inputs of every product to 10 bits: not the model that is being measured.
    first = Device("cuda", CUDA_PROVIDER, count, options={"use_tf32": "0"})
    if len(set(names)) > 1:
        return [first]
    further = itertools.takewhile(gpu_works, range(1, len(names)))
    return [first, *(replace(first, index=index) for index in further)]


def _notice(choice: DeviceChoice, names: Sequence[str], reason: str | None) -> str | None:
    """What to say about running on the CPU."""
    if choice == "cuda":
        return f"CUDA was asked for, but no GPU works here ({reason}): running on the CPU"
    if names:
        return f"{names[0] or 'a GPU'} is there, but not used ({reason}): running on the CPU"
    return None
