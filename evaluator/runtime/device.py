"""Choose the execution provider and the number of threads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from evaluator.runtime.gpus import CUDA_PROVIDER, gpu_works, obstacle, visible_gpus
from evaluator.support.threads import usable_cores

DeviceChoice = Literal["auto", "cpu", "cuda"]
_CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class Device:
    """A working provider; `notice` says why it was chosen, `index` numbers devices of the same kind."""

    name: Literal["cpu", "cuda"]
    provider: str
    threads: int
    notice: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    index: int = 0

    @property
    def providers(self) -> list[Any]:
        """The list of providers for onnxruntime; the CPU follows CUDA for shape arithmetic."""
        if self.provider == _CPU:
            return [self.provider]
        return [(self.provider, self.options | {"device_id": str(self.index)}), _CPU]

    @property
    def memory(self) -> str:
        """The name of this device's memory in onnxruntime."""
        return "cuda" if self.provider == CUDA_PROVIDER else "cpu"


def choose_device(choice: DeviceChoice, threads: int | None = None) -> Device:
    """Return the first of `choose_devices`."""
    return choose_devices(choice, threads)[0]


def choose_devices(choice: DeviceChoice, threads: int | None = None) -> list[Device]:
    """Return every working GPU, or the CPU.

    If the GPUs are of several kinds, only the first is used: different kinds choose kernels that round differently,
    so a copy of the baseline would seem to differ from it. If a GPU was requested or exists but cannot be used, the
    CPU's `notice` says why.
    """
    count = threads or usable_cores()
    names = visible_gpus() if choice != "cpu" else []
    reason = obstacle(len(names)) if choice != "cpu" else None
    if choice == "cpu" or reason:
        return [Device("cpu", _CPU, count, _notice(choice, names, reason))]
    # TF32 would round the inputs of every product to 10 bits and so change the model being measured.
    first = Device("cuda", CUDA_PROVIDER, count, options={"use_tf32": "0"})
    if len(set(names)) > 1:
        return [first]
    further = itertools.takewhile(gpu_works, range(1, len(names)))
    return [first, *(replace(first, index=index) for index in further)]


def _notice(choice: DeviceChoice, names: Sequence[str], reason: str | None) -> str | None:
    """Return why the CPU is used instead of a GPU; None if no GPU was requested and none exists."""
    if choice == "cuda":
        return f"CUDA was requested, but no GPU works here ({reason}): running on the CPU"
    if names:
        return f"{names[0] or 'a GPU'} was found, but cannot be used ({reason}): running on the CPU"
    return None
