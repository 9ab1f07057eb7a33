"""Which execution provider runs, and how many threads."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

DeviceChoice = Literal["auto", "cpu", "cuda"]
_SILENT = 4


@dataclass(frozen=True)
class Device:
    """A provider that was seen to work, and what to say about how it was chosen."""

    name: Literal["cpu", "cuda"]
    provider: str
    threads: int
    notice: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def providers(self) -> list[Any]:
        """Onnxruntime's provider list; CPU stays behind CUDA for shape arithmetic."""
        if self.name == "cpu":
            return [self.provider]
        return [(self.provider, self.options), "CPUExecutionProvider"]


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
        return Device("cuda", "CUDAExecutionProvider", count, options={"use_tf32": "0"})
    notice = "CUDA was asked for, but no GPU works here: running on the CPU" if choice == "cuda" else None
    return Device("cpu", "CPUExecutionProvider", count, notice)


def _cuda_works() -> bool:
    if "CUDAExecutionProvider" not in ort.get_available_providers():
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
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CUDAExecutionProvider"]
        )
        session.run(None, {"x": np.zeros(1, np.float32)})
    except Exception:  # any failure here means the same: this provider cannot be used
        return False
    finally:
        ort.set_default_logger_severity(level)
    return "CUDAExecutionProvider" in session.get_providers()
