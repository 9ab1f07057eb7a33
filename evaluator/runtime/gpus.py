"""Find the GPUs and which of them onnxruntime can use, without output on the terminal."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

CUDA_PROVIDER = "CUDAExecutionProvider"
_DRIVER = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
_PROVIDER_LIBRARY = "libonnxruntime_providers_cuda.so"
_NOT_FOUND = "cannot open shared object file"
_NAME_BYTES = 256
_SMALL_GPU = 4_000_000_000
#: onnxruntime's default logger warns about a missing CUDA plug-in each time its built-in CUDA is used. Errors are
#: still shown, except while a GPU is probed.
_ERRORS_AND_WORSE, _SILENT = 3, 4

ort.set_default_logger_severity(_ERRORS_AND_WORSE)


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that the driver shows to this process, in its order; none without a driver."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return []
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    return [_name_of(driver, index) for index in range(count.value)]


def _name_of(driver: ctypes.CDLL, index: int) -> str:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES)
    if driver.cuDeviceGet(ctypes.byref(device), index) or driver.cuDeviceGetName(name, _NAME_BYTES, device):
        return ""
    return name.value.decode(errors="replace")


def free_gpu_memory(index: int) -> int:
    """Return the free bytes of a GPU's memory; a small GPU's if the driver does not say."""
    free, total, context = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_void_p()
    try:
        driver = ctypes.CDLL(_DRIVER)
        if driver.cuInit(0) or driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), index):
            return _SMALL_GPU
        failed = driver.cuCtxPushCurrent_v2(context) or driver.cuMemGetInfo_v2(
            ctypes.byref(free), ctypes.byref(total)
        )
        driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
        driver.cuDevicePrimaryCtxRelease_v2(index)
    except (OSError, AttributeError):  # no driver, or an older one
        return _SMALL_GPU
    return _SMALL_GPU if failed else free.value


def obstacle(n_gpus: int) -> str | None:
    """Return why onnxruntime cannot use the first of `n_gpus` visible GPUs; None if it can."""
    if not n_gpus:
        return "the NVIDIA driver shows none"
    if CUDA_PROVIDER not in ort.get_available_providers():
        return "this onnxruntime has no CUDA; install onnxruntime-gpu in place of onnxruntime"
    load_libraries()
    if gpu_works(0):
        return None
    if missing := _missing_library():
        return f"{missing} is missing; install the CUDA libraries, for example with PyTorch for CUDA"
    return "onnxruntime's CUDA provider does not run on it"


def load_libraries() -> None:
    """Load CUDA libraries that were installed by pip, which onnxruntime does not find by itself."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
        ort.preload_dlls()


def gpu_works(index: int) -> bool:
    """Return whether a tiny graph runs on a GPU; onnxruntime may list CUDA and still fail to use it."""
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "probe", [info], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    options = ort.SessionOptions()
    options.log_severity_level = _SILENT
    providers = [(CUDA_PROVIDER, {"device_id": str(index)})]
    with _silence():
        try:
            # onnxruntime's fallback would print a banner and run on the CPU.
            session = ort.InferenceSession(
                model.SerializeToString(), options, providers=providers, enable_fallback=0
            )
            session.run(None, {"x": np.zeros(1, np.float32)})
        except Exception:  # any failure means that this GPU cannot be used
            return False
    return CUDA_PROVIDER in session.get_providers()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Hide errors of a GPU that does not work."""
    ort.set_default_logger_severity(_SILENT)
    try:
        yield
    finally:
        ort.set_default_logger_severity(_ERRORS_AND_WORSE)


def _missing_library() -> str | None:
    """Return the library that onnxruntime's CUDA provider misses, if the loader names one (Linux only)."""
    library = Path(ort.__file__).parent / "capi" / _PROVIDER_LIBRARY
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        name, _, reason = str(error).partition(": ")
        return name if _NOT_FOUND in reason else None
    return None
