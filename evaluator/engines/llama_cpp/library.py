"""llama.cpp's C functions and structures, in the shared library that also holds ggml's."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

from evaluator.engines.llama_cpp.settings import GPU_LAYERS
from evaluator.models.ggml_library import WAY_OUT, ggml_library
from evaluator.support.errors import EvaluatorError

#: The default of `load_mode`.
_CHOOSES = (-1).to_bytes(4, "little", signed=True)
#: Larger than both structures of parameters; those of this size are passed in memory, whatever their content.
_PARAMS_BYTES = 1024
#: Positions in the parameters of a model: of `vocab_only`, and of the first flag that is set by default.
_VOCAB_ONLY, _FIRST_SET = 72, 74
#: The same of `load_mode`, int32, and of `no_alloc`, for which the file must not be mapped.
_LOAD_MODE, _NO_ALLOC = slice(24, 28), 76
#: The same of `devices`, a list that ends with null, and of `n_gpu_layers`, int32.
_DEVICES, _GPU_LAYERS = slice(0, 8), slice(16, 20)
#: No device besides the processor.
_NO_DEVICES = (ctypes.c_void_p * 1)()


class ModelParams(ctypes.Structure):
    """`llama_model_params`."""

    _fields_ = (("content", ctypes.c_ubyte * _PARAMS_BYTES),)


class ContextParams(ctypes.Structure):
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
        ("callbacks", ctypes.c_void_p * 3),
        *((name, ctypes.c_bool) for name in ("embeddings", "offload_kqv", "no_perf", "op_offload")),
        *((name, ctypes.c_bool) for name in ("swa_full", "kv_unified")),
        ("rest", ctypes.c_ubyte * (_PARAMS_BYTES - 142)),
    )


#: What the library sets by default; together they show that each field lies where it is expected.
_DEFAULTS = {
    **{"n_ctx": 512, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 1, "n_rs_seq": 0},
    **{"n_outputs_max": 0, "n_outputs_max_per_seq": 1, "ctx_type": 0},
    **{"rope_scaling": -1, "pooling": -1, "attention": -1, "flash_attention": -1},
    **{"rope_freq_base": 0.0, "rope_freq_scale": 0.0, "yarn_ext_factor": -1.0, "yarn_attn_factor": -1.0},
    **{"yarn_beta_fast": -1.0, "yarn_beta_slow": -1.0, "yarn_orig_ctx": 0, "defrag_threshold": -1.0},
    **{"eval_callback": None, "eval_callback_data": None, "type_k": 1, "type_v": 1},
    **{"embeddings": False, "offload_kqv": True, "no_perf": True, "op_offload": True},
    **{"swa_full": True, "kv_unified": False},
}


class Batch(ctypes.Structure):
    """`llama_batch`."""

    _fields_ = (
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    )


#: Takes a level, a part of a line, and nothing.
LogCallback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

_INT, _POINTER, _TEXT, _FLAG = ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_bool
#: Name → type of the result, types of the arguments.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "llama_print_system_info": (_TEXT,),
    "llama_supports_gpu_offload": (_FLAG,),
    "llama_log_set": (None, LogCallback, _POINTER),
    "llama_model_default_params": (ModelParams,),
    "llama_model_load_from_file": (_POINTER, _TEXT, ModelParams),
    "llama_model_free": (None, _POINTER),
    "llama_model_n_ctx_train": (_INT, _POINTER),
    "llama_model_size": (ctypes.c_uint64, _POINTER),
    "llama_model_get_vocab": (_POINTER, _POINTER),
    "llama_vocab_n_tokens": (_INT, _POINTER),
    "llama_vocab_get_add_bos": (_FLAG, _POINTER),
    "llama_vocab_bos": (_INT, _POINTER),
    "llama_tokenize": (_INT, _POINTER, _TEXT, _INT, ctypes.POINTER(_INT), _INT, _FLAG, _FLAG),
    "llama_context_default_params": (ContextParams,),
    "llama_init_from_model": (_POINTER, _POINTER, ContextParams),
    "llama_free": (None, _POINTER),
    "llama_get_memory": (_POINTER, _POINTER),
    "llama_memory_clear": (None, _POINTER, _FLAG),
    "llama_batch_init": (Batch, _INT, _INT, _INT),
    "llama_batch_free": (None, Batch),
    "llama_decode": (_INT, _POINTER, Batch),
    "llama_synchronize": (None, _POINTER),
    "llama_get_logits": (ctypes.POINTER(ctypes.c_float), _POINTER),
    "llama_state_seq_get_size": (ctypes.c_size_t, _POINTER, _INT),
}


@cache
def llama_library() -> Any:
    """Load llama.cpp's functions.

    Raises:
        EvaluatorError: there is no library, it lacks functions, or its structures are not those described here.
    """
    library = ggml_library()
    if library is None:
        raise EvaluatorError(f"llama.cpp's library is not there: {WAY_OUT}")
    for name, (answer, *arguments) in _FUNCTIONS.items():
        function = getattr(library, name, None)
        if function is None:
            raise EvaluatorError(f"{library._name}: does not export llama.cpp's function {name}")
        function.restype, function.argtypes = answer, arguments
    defaults, flags = library.llama_context_default_params(), library.llama_model_default_params().content
    moved = [name for name, value in _DEFAULTS.items() if getattr(defaults, name) != value]
    if bytes(flags[_VOCAB_ONLY : _FIRST_SET + 1]) != b"\0\0\1":
        moved.append("vocab_only")
    if bytes(flags[_DEVICES]) != bytes(8) or bytes(flags[_GPU_LAYERS]) != _four_bytes(GPU_LAYERS["all"]):
        moved.append("n_gpu_layers")
    if moved:
        raise EvaluatorError(
            f"{library._name}: another release of llama.cpp, with other fields of its parameters: {moved}"
        )
    return library


def model_params(
    *, vocabulary_only: bool = False, simulated: bool = False, n_gpu_layers: str = "none"
) -> ModelParams:
    """Return the parameters of a model, of which only the vocabulary may be read.

    Without layers on a GPU, none is used for anything else either, such as the products of long prompts.
    If `simulated`, nothing is allocated for weights and contexts, whose sizes are then in the log. The log also says
    whether the library took it so, which the caller has to check.

    Raises:
        EvaluatorError: there is no library, or it is another release.
    """
    library = llama_library()
    params: ModelParams = library.llama_model_default_params()
    params.content[_VOCAB_ONLY] = vocabulary_only
    params.content[_GPU_LAYERS] = list(_four_bytes(GPU_LAYERS[n_gpu_layers]))
    if not GPU_LAYERS[n_gpu_layers]:
        params.content[_DEVICES] = list(ctypes.addressof(_NO_DEVICES).to_bytes(8, sys.byteorder))
    if simulated:
        if bytes(params.content[_LOAD_MODE]) != _CHOOSES:
            raise EvaluatorError(f"{library._name}: another release of llama.cpp: its load_mode is not found")
        params.content[_LOAD_MODE] = [0] * len(_CHOOSES)
        params.content[_NO_ALLOC] = True
    return params


def _four_bytes(number: int) -> bytes:
    return number.to_bytes(4, sys.byteorder, signed=True)
