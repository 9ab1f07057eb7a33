"""Which execution provider runs, and how many threads."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

DeviceChoice = Literal["auto", "cpu", "cuda"]
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_SILENT = 4


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
        return "cuda" if self.provider == _CUDA else "cpu"


def usable_cores() -> int:
    """Cores this process may run on (not those of the whole machine, which a container does not have)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_device(choice: DeviceChoice, threads: int | None = None) -> Device:
    """Pick the provider by trying it: a library that lists CUDA may still have no GPU under it.

    `cuda` without a working GPU falls back to the CPU and says so in `notice`.
    """
    count = threads or usable_cores()
    if choice != "cpu" and _cuda_works():
        # TF32 would round the inputs of every product to 10 bits: not the model that is being measured.
        return Device("cuda", _CUDA, count, options={"use_tf32": "0"})
    notice = "CUDA was asked for, but no GPU works here: running on the CPU" if choice == "cuda" else None
    return Device("cpu", _CPU, count, notice)


def choose_devices(
    choice: DeviceChoice, threads: int | None = None, gpu_names: Collection[str] = ()
) -> list[Device]:
    """The device that `choose_device` picks and, if it is a GPU, every further one that works.

    Of several kinds, told by `gpu_names`, only the first is taken: they choose other kernels, which round otherwise,
    and then a copy of the baseline would seem to differ from it.
    """
    first = choose_device(choice, threads)
    if first.name == "cpu" or len(set(gpu_names)) > 1:
        return [first]
    further = itertools.takewhile(_cuda_works, itertools.count(1))
    return [first, *(replace(first, index=index) for index in further)]


def _cuda_works(index: int = 0) -> bool:
    if _CUDA not in ort.get_available_providers():
        return False
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "probe", [info], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    options = ort.SessionOptions()
    options.log_severity_level = _SILENT
    level = ort.get_default_logger_severity() if hasattr(ort, "get_default_logger_severity") else 2
    ort.set_default_logger_severity(_SILENT)
    try:
        providers = [(_CUDA, {"device_id": str(index)})]
        session = ort.InferenceSession(model.SerializeToString(), options, providers=providers)
        session.run(None, {"x": np.zeros(1, np.float32)})
    except Exception:  # any failure here means the same: this provider cannot be used
        return False
    finally:
        ort.set_default_logger_severity(level)
    return _CUDA in session.get_providers()
