"""How llama.cpp is run: by default with the settings of its own programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Flash attention → its number in llama.cpp.
FLASH_ATTENTION: Mapping[str, int] = {"auto": -1, "off": 0, "on": 1}
#: Which layers a GPU computes → their number in llama.cpp.
GPU_LAYERS: Mapping[str, int] = {"none": 0, "all": -1}
#: Type of the cached keys and values → its number in ggml; gguf-py, which has them too, takes long to import.
CACHE_TYPES: Mapping[str, int] = {
    **{"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8},
    **{"q5_1": 7, "q5_0": 6, "q4_1": 3, "q4_0": 2, "iq4_nl": 20},
}


@dataclass(frozen=True)
class Settings:
    """Settings of a context.

    Attributes:
        threads: threads, for prompts and for single tokens.
        batch: tokens handed over at a time.
        ubatch: tokens computed at a time.
        flash_attention: a name in `FLASH_ATTENTION`; with auto, llama.cpp uses it where it can.
        cache: type of the cached keys and values, a name in `CACHE_TYPES`.
        n_gpu_layers: a name in `GPU_LAYERS`.
    """

    threads: int
    batch: int = 2048
    ubatch: int = 512
    flash_attention: str = "auto"
    cache: str = "f16"
    n_gpu_layers: str = "none"
