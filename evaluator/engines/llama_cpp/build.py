"""Tell which build of llama.cpp computes, and what it decides itself."""

from __future__ import annotations

import ctypes
import re

from evaluator.engines.llama_cpp.library import llama_library
from evaluator.engines.llama_cpp.model import KeptLog, LlamaContext, LlamaModel
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.support.errors import EvaluatorError

#: Functions of the library that tell its release and revision, and what they answer if they do not know.
_VERSIONS = {"ggml_version": "ggml", "ggml_commit": "commit"}
_UNKNOWN = "unknown"
_FLASH = re.compile(r"Flash Attention.*\b(enabled|disabled)")
_LAYERS = re.compile(r"offloaded (\d+/\d+) layers to GPU")


def describe(path: str | None, settings: Settings) -> dict[str, str | int]:
    """Describe the library, and how it would run a file.

    Args:
        path: the file, if it is known.
        settings: how it is to be run.

    Returns:
        `features` that the library was built with, `gpu_backend` 1 if it has a backend for one, else 0, and, as far
        as it knows them, its version `ggml` and `commit`. If the file can be loaded, also what its log says of it:
        `flash_attention_used`, on or off, if that was left to it, and `gpu_layers_used`, such as 33/33.

    Raises:
        EvaluatorError: there is no library.
    """
    library = llama_library()
    features = library.llama_print_system_info().decode(errors="replace")
    found: dict[str, str | int] = {
        "features": " ".join(features.replace(" = ", "=").replace("|", " ").split()),
        "gpu_backend": int(library.llama_supports_gpu_offload()),
    }
    for function, name in _VERSIONS.items():
        if (version := _text(library, function)) != _UNKNOWN:
            found[name] = version
    return found | (_decisions(path, settings) if path else {})


def _text(library: ctypes.CDLL, function: str) -> str:
    """Return the text that a function answers; `_UNKNOWN` if this release does not have it."""
    called = getattr(library, function, None)
    if called is None:
        return _UNKNOWN
    called.restype = ctypes.c_char_p
    return (called() or b"").decode(errors="replace") or _UNKNOWN


def _decisions(path: str, settings: Settings) -> dict[str, str | int]:
    log = KeptLog()
    try:
        with (
            LlamaModel(path, simulated=True, n_gpu_layers=settings.n_gpu_layers, log=log.add) as model,
            LlamaContext(model, settings.ubatch, settings),
        ):
            pass
    except EvaluatorError:  # whoever runs the file will say it
        return {}
    text, found = log.take(), dict[str, str | int]()
    if flash := _FLASH.search(text):
        found["flash_attention_used"] = {"enabled": "on", "disabled": "off"}[flash[1]]
    if layers := _LAYERS.search(text):
        found["gpu_layers_used"] = layers[1]
    return found
