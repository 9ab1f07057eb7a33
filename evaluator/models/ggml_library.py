"""Find ggml's shared library, which reads and makes quantized tensors.

It is the library that `GGML_LIBRARY` names (such as `ggml-base.dll` of a llama.cpp release), else the extension
module of the package `xllamacpp`. That module exports ggml's C functions on Linux and macOS but not on Windows, where
the variable is required to make quantized tensors; reading them works without the library too.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from pathlib import Path

from evaluator.support.errors import RequestError
from evaluator.support.paths import typed_path

LIBRARY_VARIABLE = "GGML_LIBRARY"
_PACKAGE = "xllamacpp"
_PATTERNS = ("*.abi3.so", "*.so", "*.pyd")
WAY_OUT = f"pip install {_PACKAGE}, or set {LIBRARY_VARIABLE} to the ggml-base library of a llama.cpp release"


@functools.cache
def ggml_library() -> ctypes.CDLL | None:
    """Load the library; None if there is none. Its C functions may still be missing.

    Raises:
        RequestError: the one that the variable names cannot be loaded.
    """
    named = os.environ.get(LIBRARY_VARIABLE)
    path = typed_path(named) if named else _in_package()
    if path is None:
        return None
    os.environ["GGML_NO_BACKTRACE"] = "1"  # else it starts a debugger when it aborts the process
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        if not named:
            return None
        raise RequestError(f"{path}: cannot be used as ggml's library ({error}): {WAY_OUT}") from error


def _in_package() -> Path | None:
    # Do not import the package: that starts an inference engine, and only the C functions are needed.
    spec = importlib.util.find_spec(_PACKAGE)
    for location in list(spec.submodule_search_locations or []) if spec else []:
        for pattern in _PATTERNS:
            for path in sorted(Path(location).glob(pattern)):
                return path
    return None
