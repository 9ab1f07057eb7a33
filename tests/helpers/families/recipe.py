"""A model file as metadata and shapes; its weights are drawn when it is written.

Shapes are in the order of GGUF: the length of a row first. Weights depend on their name and the seed alone,
so that another tensor more or less does not change the rest.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from tiny_models import END_OF_TEXT, byte_symbols

Shapes = dict[str, tuple[int, ...]]

VOCABULARY = 512
WIDTH = 64
_BLOCK = 32
CONTEXT = 256

#: Pattern of the name → standard deviation; the first that fits counts. `None`: by the length of a row.
_SPREADS: tuple[tuple[str, float | None], ...] = (
    (r"exp_probs_b\.bias$", 0.15),
    (r"ffn_gate_inp\.bias$", 0.3),
    (r"ssm_dt\.bias$", 1.0),
    (r"\.bias$", 0.1),
    (r"conv1d\.weight$|shortconv\.conv", 0.4),
    (r"^token_embd\.", 0.5),
    (r"^per_layer_token_embd\.", 0.2),
    (r"", None),
)
#: Spread of a matrix, times the root of the length of its rows.
_GAINS = ((r"ffn_gate_inp\.", 3.0), (r"attn_(q|k|q_b|kv_a_mqa)\.|^output\.", 1.6), (r"", 0.8))
_AROUND_ONE = r"norm(_\d|_exps)?(\.weight)?$|\.scale$|altup_correct_scale|ssm_d$"


@dataclass
class Recipe:
    """What a file holds: `metadata` without the architecture in front, shapes, and tensors that are given."""

    architecture: str
    metadata: dict[str, Any]
    shapes: Shapes
    values: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    #: Metadata whose keys do not begin with the architecture.
    general: dict[str, Any] = field(default_factory=dict)
    #: Spread of tensors that need another than the usual one, by the end of their name.
    spreads: dict[str, float] = field(default_factory=dict)

    def block(self, layer: int, *parts: Mapping[str, tuple[int, ...]]) -> None:
        """Add the tensors of a layer."""
        for part in parts:
            self.shapes |= {f"blk.{layer}.{name}": shape for name, shape in part.items()}


def started(
    architecture: str,
    *,
    layers: int,
    heads: int = 4,
    kv_heads: int | list[int] = 2,
    head: int | None = 32,
    feed_forward: int | list[int] | None = 96,
    width: int = WIDTH,
    base: float | None = 10000.0,
    epsilon: float = 1e-3,
    tied: bool = False,
    more: Mapping[str, Any] | None = None,
) -> Recipe:
    """Return a recipe with what nearly all families have; `more` adds metadata, None removes it.

    `epsilon` is larger than in published models, so that another one shows.
    """
    metadata: dict[str, Any] = {
        "block_count": layers,
        "context_length": CONTEXT,
        "embedding_length": width,
        "feed_forward_length": feed_forward,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "rope.freq_base": base,
        "attention.layer_norm_rms_epsilon": epsilon,
        "attention.key_length": head,
        "attention.value_length": head,
    } | dict(more or {})
    shapes: Shapes = {"token_embd.weight": (width, VOCABULARY), "output_norm.weight": (width,)}
    if not tied:
        shapes["output.weight"] = (width, VOCABULARY)
    kept = {key: value for key, value in metadata.items() if value is not None}
    return Recipe(architecture, kept, shapes, spreads={"token_embd.weight": 0.2} if tied else {})


def vectors(width: int, *names: str) -> Shapes:
    """Return the shapes of weights with `width` values each."""
    return {f"{name}.weight": (width,) for name in names}


def attention(
    heads: int,
    kv_heads: int,
    head: int,
    *,
    width: int = WIDTH,
    value: int | None = None,
    norm: str = "",
    biases: str = "",
    fused: bool = False,
    gated: bool = False,
) -> Shapes:
    """Return the shapes of attention.

    `norm`: "" none, "head" over each head, "row" over all heads of a token. `biases`: letters of q, k, v, o.
    `fused`: one matrix for q, k and v. `gated`: q holds a gate for each of its values too.
    """
    value = value or head
    query = heads * head * (2 if gated else 1)
    shapes: Shapes = {
        "attn_q.weight": (width, query),
        "attn_k.weight": (width, kv_heads * head),
        "attn_v.weight": (width, kv_heads * value),
    }
    if fused:
        shapes = {"attn_qkv.weight": (width, sum(shape[1] for shape in shapes.values()))}
    shapes["attn_output.weight"] = (heads * value, width)
    for letter in biases:
        name = "attn_output" if letter == "o" else f"attn_{letter}"
        shapes[f"{name}.bias"] = shapes[f"{name}.weight"][1:]
    if norm:
        rows = (head, head) if norm == "head" else (heads * head, kv_heads * head)
        shapes |= {"attn_q_norm.weight": rows[:1], "attn_k_norm.weight": rows[1:]}
    return shapes


def feed_forward(
    inner: int, *, width: int = WIDTH, suffix: str = "", gate: bool = True, joined: bool = False
) -> Shapes:
    """Return the shapes of a feed-forward part; `joined`: gate and up are one matrix under the name of up."""
    shapes: Shapes = {
        f"ffn_up{suffix}.weight": (width, 2 * inner if joined else inner),
        f"ffn_down{suffix}.weight": (inner, width),
    }
    if gate and not joined:
        shapes[f"ffn_gate{suffix}.weight"] = (width, inner)
    return shapes


def experts(
    inner: int,
    count: int,
    *,
    width: int = WIDTH,
    router: int | None = None,
    gate: bool = True,
    joined: bool = False,
    selection_bias: bool = False,
    biased: bool = False,
) -> Shapes:
    """Return the shapes of a router and its experts; `router` is its width where that differs."""
    up = "ffn_gate_up_exps" if joined else "ffn_up_exps"
    shapes: Shapes = {
        "ffn_gate_inp.weight": (router or width, count),
        f"{up}.weight": (width, 2 * inner if joined else inner, count),
        "ffn_down_exps.weight": (inner, width, count),
    }
    if gate and not joined:
        shapes["ffn_gate_exps.weight"] = (width, inner, count)
    if biased:
        matrices = [name for name in shapes if name.endswith(".weight")]
        shapes |= {f"{name.removesuffix('weight')}bias": shapes[name][1:] for name in matrices}
    if selection_bias:
        shapes["exp_probs_b.bias"] = (count,)
    return shapes


def yarn(**more: Any) -> dict[str, Any]:
    """Return metadata of YaRN that is in use at windows longer than 32."""
    return {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 8.0,
        "rope.scaling.original_context_length": 32,
        "rope.scaling.yarn_beta_fast": 32.0,
        "rope.scaling.yarn_beta_slow": 1.0,
    } | {f"rope.scaling.{key}": value for key, value in more.items()}


def frequency_factors(count: int) -> NDArray[np.float32]:
    """Return divisors of rotary frequencies as Llama 3 has them: 1 for fast ones, 8 for slow ones."""
    return np.clip(np.linspace(-2.0, 12.0, count), 1.0, 8.0).astype(np.float32)


def write_recipe(
    recipe: Recipe, path: Path, seed: int, ggml_type: gguf.GGMLQuantizationType | None = None
) -> Path:
    """Write the file with weights drawn by `seed` and return `path`; matrices that quantizers take are of a type."""
    writer = gguf.GGUFWriter(str(path), recipe.architecture)
    writer.add_type("model")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(2)
    for key, entry in recipe.metadata.items():
        _add(writer, f"{recipe.architecture}.{key}", entry)
    for key, entry in recipe.general.items():
        _add(writer, key, entry)
    _add_vocabulary(writer)
    for name, shape in recipe.shapes.items():
        values = _drawn(recipe, name, shape, seed)
        kind = ggml_type if _is_quantized(name, shape) else None
        writer.add_tensor(name, values if kind is None else gguf.quantize(values, kind), raw_dtype=kind)
    for name, given in recipe.values.items():
        writer.add_tensor(name, given)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _is_quantized(name: str, shape: tuple[int, ...]) -> bool:
    divides = shape[0] % _BLOCK == 0 and len(shape) > 1
    return divides and not re.search(r"norm|ffn_gate_inp|conv|altup|laurel|\.bias", name)


def _add(writer: gguf.GGUFWriter, key: str, entry: Any) -> None:
    match entry:
        case bool():
            writer.add_bool(key, entry)
        case int():
            writer.add_uint32(key, entry)
        case float():
            writer.add_float32(key, entry)
        case str():
            writer.add_string(key, entry)
        case _:
            writer.add_array(key, entry)


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    """Add 512 tokens of byte-level BPE: the end of texts, 256 bytes, and 255 merges."""
    tokens, merges = [END_OF_TEXT, *byte_symbols()], []
    letters = "etaoinshrdlucmfwypvbgk"
    pairs = [*(("Ġ", letter) for letter in letters), *((a, b) for a in letters for b in letters)]
    for left, right in pairs[: VOCABULARY - len(tokens)]:
        merges.append(f"{left} {right}")
        tokens.append(left + right)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (VOCABULARY - 1))
    writer.add_token_merges(merges)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)


def _drawn(recipe: Recipe, name: str, shape: Sequence[int], seed: int) -> NDArray[np.float32]:
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    values = generator.standard_normal(tuple(reversed(shape)))
    if name.endswith("ssm_a"):
        values = -np.exp(np.clip(values, -2.0, 1.5))
    elif name.endswith("layer_output_scale.weight"):
        values = 0.7 + 0.1 * values
    elif name.endswith("attn_sinks.weight"):
        # As much as a few dozen of tokens.
        values = 3 + values
    elif spread := next((spread for end, spread in recipe.spreads.items() if name.endswith(end)), None):
        values *= spread
    elif re.search(_AROUND_ONE, name):
        values = 1 + 0.2 * values
    else:
        role = re.sub(r"^blk\.\d+\.", "", name)
        spread = next(spread for pattern, spread in _SPREADS if re.search(pattern, role))
        gain = next(gain for pattern, gain in _GAINS if re.search(pattern, role))
        values *= gain / np.sqrt(shape[0]) if spread is None else spread
    return values.astype(np.float32)


def alternating(layers: int, period: int) -> list[bool]:
    """Return True for all layers but each `period`-th."""
    return [(layer + 1) % period != 0 for layer in range(layers)]
