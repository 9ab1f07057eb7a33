"""Move a baseline off the grid of the quantized file it was read from, without changing what it computes.

Values that were once quantized lie on their format's grid, so quantizing them to that format again costs almost
nothing, and a comparison would favour it. The following two changes cancel in exact arithmetic and move every weight
off the grid:

- column k of query, key and value (gate and up) × s_k, the gain of the norm before them ÷ s_k;
- row j of value (up) and its bias × t_j, column j of the attention output (ffn_down) ÷ t_j; with grouped heads,
  all query heads of a group share their value head's t.

Other biases stay: s has cancelled in the products they are added to, and t where the biases of the attention output
and of ffn_down are added. s and t are log-normal. The embedding cannot be rescaled this way and keeps its values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from evaluator.models.architectures import architecture_of, described
from evaluator.models.gguf.writer import FINGERPRINT_KEY, write_gguf
from evaluator.models.model_file import ModelFile
from evaluator.models.naming import model_name
from evaluator.quantize.type_plan import layer_of
from evaluator.support.errors import SourceError

Values = npt.NDArray[np.float32]

SIGMA = 0.3
#: Metadata key of a rescaled file; its value says how the file was made.
RESCALED_KEY = "quantize.rescaled"
_RESCALABLE = ("llama", "qwen2")
#: Increase it when rescaling changes, so that files made before are not taken for new ones.
_VERSION = 2
_F16_BYTES = 2


def rescaled_tensors(file: ModelFile, layer: int, seed: int = 0) -> Mapping[str, Values]:
    """Compute the changed tensors of one layer, float32.

    Raises:
        SourceError: a tensor is missing.
    """
    settings = architecture_of(file).config(file)
    group = settings["num_attention_heads"] // settings["num_key_value_heads"]
    generator = np.random.default_rng((seed, layer))

    def values(role: str) -> Values:
        return file.dequantize(f"blk.{layer}.{role}.weight")

    def factors(count: int) -> Values:
        return np.exp(generator.normal(0, SIGMA, count)).astype(np.float32)

    gain, ffn_gain = values("attn_norm"), values("ffn_norm")
    s_attn, s_ffn = factors(len(gain)), factors(len(ffn_gain))
    value, up = values("attn_v"), values("ffn_up")
    t_value, t_up = factors(value.shape[0]), factors(up.shape[0])
    heads = t_value.reshape(settings["num_key_value_heads"], -1)
    changed = {
        "attn_norm": gain / s_attn,
        "attn_q": values("attn_q") * s_attn,
        "attn_k": values("attn_k") * s_attn,
        "attn_v": value * s_attn * t_value[:, None],
        "attn_output": values("attn_output") / np.repeat(heads, group, axis=0).reshape(-1),
        "ffn_norm": ffn_gain / s_ffn,
        "ffn_gate": values("ffn_gate") * s_ffn,
        "ffn_up": up * s_ffn * t_up[:, None],
        "ffn_down": values("ffn_down") / t_up,
    }
    tensors = {f"blk.{layer}.{role}.weight": array for role, array in changed.items()}
    for role, t in (("attn_v", t_value), ("ffn_up", t_up)):
        bias = f"blk.{layer}.{role}.bias"
        if bias in file.tensors:
            tensors[bias] = file.dequantize(bias) * t
    return tensors


def rescaled_name(file: ModelFile) -> str:
    """Return the rescaled model's name."""
    return f"{model_name(file)}-rescaled"


def rescaled_path(file: ModelFile, folder: Path) -> Path:
    """Return the rescaled model's path in `folder`."""
    return folder / f"{rescaled_name(file)}-F16.gguf"


def rescaled_digest(digest: str) -> str:
    """Return the identity of the rescaled model, from its original's; it is also the file's fingerprint."""
    return f"rescaled-{_VERSION}-{digest}"


def rescaled_bytes(file: ModelFile) -> int:
    """Return roughly the bytes that the rescaled file takes."""
    return _F16_BYTES * file.n_params


def rescaled_outline(file: ModelFile) -> ModelFile:
    """Return `file` with the tensor types of the rescaled file, to plan variants before that is written.

    Offsets and sizes of tensors stay those of `file`.

    Raises:
        SourceError: the family's norms do not allow rescaling.
    """
    types = _types(file)
    tensors = {name: replace(info, ggml_type=types[name]) for name, info in file.tensors.items()}
    return replace(file, tensors=tensors)


def _types(file: ModelFile) -> dict[str, gguf.GGMLQuantizationType]:
    """Return the type of every tensor of the rescaled file."""
    if file.architecture not in _RESCALABLE:
        raise SourceError(file.path, f"cannot rescale a {file.architecture}; known: {', '.join(_RESCALABLE)}")
    if described(file):
        raise SourceError(file.path, f"cannot rescale this kind of {file.architecture}")
    return {
        name: gguf.GGMLQuantizationType.F32 if len(info.shape) < 2 else gguf.GGMLQuantizationType.F16
        for name, info in file.tensors.items()
    }


def write_rescaled_f16(file: ModelFile, target: Path, seed: int = 0, fingerprint: str = "") -> None:
    """Write the rescaled model as an F16 file (vectors F32), with `fingerprint` in its metadata if given.

    Layers are computed one after the other, so that no more than one is in memory.

    Raises:
        SourceError: the family's norms do not allow this, or a tensor is missing.
    """
    types = _types(file)
    n_layers = int(architecture_of(file).config(file)["num_hidden_layers"])
    computed: dict[int, Mapping[str, Values]] = {}

    def changed(layer: int) -> Mapping[str, Values]:
        if not 0 <= layer < n_layers:
            return {}
        if layer not in computed:
            computed.clear()
            computed[layer] = rescaled_tensors(file, layer, seed)
        return computed[layer]

    def bytes_of(name: str) -> npt.NDArray[np.uint8]:
        of_layer = changed(layer_of(name))
        values = of_layer[name] if name in of_layer else file.dequantize(name)
        encoded: npt.NDArray[np.uint8] = gguf.quantize(values, types[name]).view(np.uint8)
        return encoded

    added = {RESCALED_KEY: f"log-normal factors, sigma {SIGMA}, seed {seed}"}
    if fingerprint:
        added[FINGERPRINT_KEY] = fingerprint
    write_gguf(file, target, gguf.LlamaFileType.MOSTLY_F16, types, bytes_of, added)
