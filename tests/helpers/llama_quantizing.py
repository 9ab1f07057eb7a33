"""Quantize with llama.cpp's `llama_model_quantize`, in the folder of libraries that `LLAMA_CPP_BIN` names.

The library may end its process, so it runs in a separate one: `python llama_quantizing.py` reads a request on stdin
and prints the answer, both as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

_ERROR = 4
#: A line about a tensor: name, its type, and the new type where that differs.
_TENSOR = re.compile(
    r"\] +(\S+) +- \[[^\]]*\], type = +(\S+), (?:converting to (\S+) .. )?size = [^(\n]*(?:\((\S+)\))?$",
    re.MULTILINE,
)
_NEEDS_IMATRIX = "will require an imatrix"
_FLAGS = ("allow_requantize", "quantize_output_tensor", "only_copy", "pure", "keep_split", "dry_run")
_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
#: `ftype` that `llama_model_quantize_default_params` sets: MOSTLY_Q8_0.
_DEFAULT_FILE_TYPE = 7


def llama_library() -> Path | None:
    """Return llama.cpp's shared library in the folder `LLAMA_CPP_BIN`."""
    folder = os.environ.get("LLAMA_CPP_BIN")
    found = sorted(Path(folder).glob("libllama*.so")) if folder else []
    return next((path for path in found if "common" not in path.name), None)


@dataclass(frozen=True)
class Answer:
    """What llama.cpp made of a file: the type of every tensor in order, or why it refused."""

    types: dict[str, str]
    refusal: str | None


@dataclass(frozen=True)
class Request:
    """A GGUF file to quantize several times.

    Attributes:
        model: the file.
        targets: llama.cpp's number of a file type → the file to write, or None to choose types only.
        imatrix: importance matrix in GGUF format.
    """

    model: Path
    targets: Mapping[int, Path | None]
    imatrix: Path | None = None


def quantize_with_llama(*requests: Request) -> list[dict[int, Answer]]:
    """Return, for each request, file type → answer; one process makes all, which prepares ggml's codebooks once."""
    fields = [
        {
            "model": str(request.model),
            "targets": {number: str(path) if path else None for number, path in request.targets.items()},
            "imatrix": str(request.imatrix) if request.imatrix else None,
        }
        for request in requests
    ]
    answer = subprocess.run(
        [sys.executable, __file__], input=json.dumps(fields), capture_output=True, text=True, check=True
    )
    return [
        {int(number): Answer(**parts) for number, parts in found.items()}
        for found in json.loads(answer.stdout.splitlines()[-1])
    ]


class _Importance(ctypes.Structure):
    """`llama_model_imatrix_data`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("data", ctypes.POINTER(ctypes.c_float)),
        ("size", ctypes.c_size_t),
    )


class _Params(ctypes.Structure):
    """`llama_model_quantize_params`, with room for fields that newer releases may add."""

    _fields_ = (
        ("n_threads", ctypes.c_int32),
        ("ftype", ctypes.c_int32),
        ("types", ctypes.c_int32 * 2),
        ("flags", ctypes.c_bool * 8),
        ("imatrix", ctypes.POINTER(_Importance)),
        ("others", ctypes.c_ubyte * 256),
    )


def _library(lines: list[str], errors: list[str]) -> Any:
    path = llama_library()
    assert path is not None, "LLAMA_CPP_BIN names no folder with libllama"
    for pattern in ("libggml-base*.so", "libggml.*so"):  # it needs them, and its release may not say where
        for needed in path.parent.glob(pattern):
            ctypes.CDLL(str(needed), ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(path))
    library.llama_model_quantize_default_params.restype = _Params
    library.llama_model_quantize.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(_Params))
    library.llama_model_quantize.restype = ctypes.c_uint32

    def note(level: int, text: bytes, _: object) -> None:
        lines.append(text.decode(errors="replace"))
        if level == _ERROR:
            errors.append(lines[-1].strip())

    library.keep = _LOG(note)
    library.llama_log_set(library.keep, None)
    return library


def _importances(path: str) -> tuple[Any, list[Any]]:
    """Return llama.cpp's array of importances as llama-quantize makes it from a file, and what must stay alive."""
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    names = [name.removesuffix(".in_sum2") for name in tensors if name.endswith(".in_sum2")]
    array, alive = (_Importance * (len(names) + 1))(), list[Any]()
    for entry, name in zip(array, names, strict=False):
        counts = tensors[f"{name}.counts"].reshape(-1, 1)
        sums = tensors[f"{name}.in_sum2"].reshape(len(counts), -1)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), 1).astype(np.float32)
        alive.append(means)
        entry.name, entry.size = name.encode(), means.size
        entry.data = means.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return array, alive


def _answers(
    library: Any, lines: list[str], errors: list[str], request: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    model, imatrix = request["model"], request["imatrix"]
    params = library.llama_model_quantize_default_params()
    assert params.ftype == _DEFAULT_FILE_TYPE, "another release: look up the fields"
    flags = dict(zip(_FLAGS, params.flags, strict=False))
    assert [name for name, flag in flags.items() if flag] == ["quantize_output_tensor"], "another release"
    params.n_threads = 2
    array, alive = _importances(imatrix) if imatrix else (None, [])
    if array:
        params.imatrix = ctypes.cast(array, ctypes.POINTER(_Importance))
    answers: dict[str, dict[str, Any]] = {}
    for number, target in request["targets"].items():
        lines.clear()
        errors.clear()
        params.ftype = int(number)
        params.flags[_FLAGS.index("dry_run")] = target is None
        failed = library.llama_model_quantize(model.encode(), (target or "").encode(), ctypes.byref(params))
        text = "".join(lines)
        refusal = errors[-1] if failed else _NEEDS_IMATRIX if _NEEDS_IMATRIX in text else None
        types = {match[1]: (match[4] or match[3] or match[2]).upper() for match in _TENSOR.finditer(text)}
        answers[number] = {"types": types, "refusal": refusal}
    del alive
    return answers


if __name__ == "__main__":
    logged, refusals = list[str](), list[str]()
    loaded = _library(logged, refusals)
    answered = [_answers(loaded, logged, refusals, request) for request in json.loads(sys.stdin.read())]
    sys.stdout.write(json.dumps(answered))
