"""Run a GGUF file of any architecture through llama.cpp, in full float32, by the library inside `xllamacpp`.

Flash attention is off, keys and values are kept as float32, each window is one batch on cleared memory and
begins with its own first id (no BOS is added). The library ends its process on some broken files, so it
runs in a separate one: `python llama_logits.py FOLDER logits|nll FILE …` reads `ids.npy` in the folder and puts
the answers there, `0.npy` for the first file.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Larger than both structures of parameters; those of this size are passed in memory, whatever their content.
_PARAMS_BYTES = 1024
_FLASH_ATTENTION_OFF = 0
_TYPE_F32, _TYPE_F16 = 0, 1
_LOG_LINES = 12
#: Lines of the log that say why something failed, also this module's own.
_TELLING = re.compile(
    r"(?i)error|assert|fail|missing|invalid|unknown|^llama(\.cpp|_decode) |^another|^ids from"
)


class LlamaError(RuntimeError):
    """llama.cpp refused the file or ended; the message holds the end of its log."""


def nll(path: Path | str, ids: ArrayLike) -> NDArray[np.float64]:
    """Return the negative log-likelihood of each next token.

    Args:
        path: A GGUF file.
        ids: Token ids [windows, length]; one window may be given as [length].

    Returns:
        Nats [windows, length - 1], computed in float64 from llama.cpp's float32 logits.

    Raises:
        LlamaError: llama.cpp does not load the file or does not compute it.
    """
    found: NDArray[np.float64] = _run([path], ids, "nll")[0]
    return found


def logits(path: Path | str, ids: ArrayLike) -> NDArray[np.float32]:
    """Return the logits at every position, float32 [windows, length, vocabulary]; see `nll`."""
    return logits_of_many([path], ids)[0]


def logits_of_many(paths: Sequence[Path | str], ids: ArrayLike) -> list[NDArray[np.float32]]:
    """Return `logits` of several files, computed in one process: a tenth of the time for tiny ones."""
    return _run(paths, ids, "logits")


def _run(paths: Sequence[Path | str], ids: ArrayLike, what: str) -> list[Any]:
    windows = np.atleast_2d(np.asarray(ids, np.int32))
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "ids.npy"), windows, allow_pickle=False)
        child = subprocess.run(
            [sys.executable, __file__, folder, what, *map(str, paths)], capture_output=True, check=False
        )
        answers = [Path(folder, f"{number}.npy") for number in range(len(paths))]
        if child.returncode:
            path = next(path for path, answer in zip(paths, answers, strict=True) if not answer.exists())
            lines = child.stderr.decode(errors="replace").splitlines()
            log = "\n".join([line for line in lines if _TELLING.search(line)][-_LOG_LINES:])
            raise LlamaError(f"{path}: llama.cpp ended with status {child.returncode}\n{log}")
        return [np.load(answer, allow_pickle=False) for answer in answers]


class _ModelParams(ctypes.Structure):
    _fields_ = (("content", ctypes.c_ubyte * _PARAMS_BYTES),)


class _ContextParams(ctypes.Structure):
    """`llama_context_params`, with room for fields that come after those named here."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max")),
        *((name, ctypes.c_uint32) for name in ("n_rs_seq", "n_outputs_max", "n_outputs_max_per_seq")),
        *((name, ctypes.c_int32) for name in ("n_threads", "n_threads_batch", "ctx_type")),
        *((name, ctypes.c_int32) for name in ("rope_scaling", "pooling", "attention", "flash_attention")),
        *((name, ctypes.c_float) for name in ("rope_freq_base", "rope_freq_scale", "yarn_ext_factor")),
        *((name, ctypes.c_float) for name in ("yarn_attn_factor", "yarn_beta_fast", "yarn_beta_slow")),
        ("yarn_orig_ctx", ctypes.c_uint32),
        ("defrag_threshold", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("eval_callback", "eval_callback_data")),
        *((name, ctypes.c_int32) for name in ("type_k", "type_v")),
        ("rest", ctypes.c_ubyte * (_PARAMS_BYTES - 112)),
    )


#: What the library sets by default; together they show that each field lies where it is expected.
_DEFAULTS = {
    **{"n_ctx": 512, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 1, "n_rs_seq": 0},
    **{"n_outputs_max": 0, "n_outputs_max_per_seq": 1, "ctx_type": 0},
    **{"rope_scaling": -1, "pooling": -1, "attention": -1, "flash_attention": -1},
    **{"rope_freq_base": 0.0, "rope_freq_scale": 0.0, "yarn_ext_factor": -1.0, "yarn_attn_factor": -1.0},
    **{"yarn_beta_fast": -1.0, "yarn_beta_slow": -1.0, "yarn_orig_ctx": 0, "defrag_threshold": -1.0},
    **{"eval_callback": None, "eval_callback_data": None, "type_k": _TYPE_F16, "type_v": _TYPE_F16},
}


class _Batch(ctypes.Structure):
    _fields_ = (
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    )


def _library() -> Any:
    package = importlib.util.find_spec("xllamacpp")
    assert package is not None
    assert package.origin is not None
    (module,) = Path(package.origin).parent.glob("xllamacpp*.so")
    library = ctypes.CDLL(str(module))
    pointer = ctypes.c_void_p
    for name, answer, *arguments in (
        ("llama_model_default_params", _ModelParams),
        ("llama_model_load_from_file", pointer, ctypes.c_char_p, _ModelParams),
        ("llama_model_get_vocab", pointer, pointer),
        ("llama_vocab_n_tokens", ctypes.c_int32, pointer),
        ("llama_context_default_params", _ContextParams),
        ("llama_init_from_model", pointer, pointer, _ContextParams),
        ("llama_get_memory", pointer, pointer),
        ("llama_memory_clear", None, pointer, ctypes.c_bool),
        ("llama_batch_init", _Batch, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32),
        ("llama_decode", ctypes.c_int32, pointer, _Batch),
        ("llama_batch_free", None, _Batch),
        ("llama_free", None, pointer),
        ("llama_model_free", None, pointer),
        ("llama_get_logits", ctypes.POINTER(ctypes.c_float), pointer),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = answer, arguments
    return library


def _context(library: Any, model: Any, length: int) -> Any:
    params = library.llama_context_default_params()
    moved = [name for name, value in _DEFAULTS.items() if getattr(params, name) != value]
    if moved:
        sys.exit(f"another release of llama.cpp: look up the fields of llama_context_params ({moved})")
    params.n_ctx = params.n_batch = params.n_ubatch = max(length, 64)
    # Threads that wait for each other cost more than the products of tiny models.
    params.n_threads = params.n_threads_batch = 1 if length <= 1024 else os.cpu_count() or 1
    params.flash_attention = _FLASH_ATTENTION_OFF
    params.type_k = params.type_v = _TYPE_F32
    return library.llama_init_from_model(model, params) or sys.exit("llama.cpp makes no context")


def _next_nll(values: NDArray[np.float32], ids: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the nats [length - 1] of `ids[1:]` under logits [length, vocabulary]."""
    wide = values[:-1].astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    chosen = np.take_along_axis(wide, ids[1:, None].astype(np.int64), axis=1)[:, 0]
    return np.asarray(np.log(np.exp(wide).sum(axis=1)) - chosen)


def _answer(library: Any, path: str, windows: NDArray[np.int32], what: str) -> NDArray[Any]:
    model = library.llama_model_load_from_file(path.encode(), library.llama_model_default_params())
    if not model:
        sys.exit("llama.cpp does not load it")
    size, length = library.llama_vocab_n_tokens(library.llama_model_get_vocab(model)), windows.shape[1]
    if windows.min() < 0 or windows.max() >= size:
        sys.exit(f"ids from {windows.min()} to {windows.max()}, but the vocabulary holds {size}")
    context = _context(library, model, length)
    batch = library.llama_batch_init(length, 0, 1)
    batch.n_tokens = length
    found: list[NDArray[Any]] = []
    for ids in windows:
        library.llama_memory_clear(library.llama_get_memory(context), True)
        for position, token in enumerate(ids):
            batch.token[position], batch.pos[position], batch.logits[position] = int(token), position, 1
            batch.n_seq_id[position], batch.seq_id[position][0] = 1, 0
        if status := library.llama_decode(context, batch):
            sys.exit(f"llama_decode returns {status}")
        values = np.ctypeslib.as_array(library.llama_get_logits(context), (length, size)).copy()
        found.append(values if what == "logits" else _next_nll(values, ids))
    library.llama_batch_free(batch)
    library.llama_free(context)
    library.llama_model_free(model)
    return np.stack(found)


def _answer_all(folder: str, what: str, *paths: str) -> None:
    library, windows = _library(), np.load(Path(folder, "ids.npy"), allow_pickle=False)
    for number, path in enumerate(paths):
        answer = _answer(library, path, windows, what)
        np.save(Path(folder, f"{number}.npy"), answer, allow_pickle=False)


if __name__ == "__main__":
    _answer_all(*sys.argv[1:])
