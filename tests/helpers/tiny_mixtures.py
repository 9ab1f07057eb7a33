"""Tiny random mixtures of experts as GGUF files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tiny_models import MERGES, tiny_tokens

HIDDEN, WIDTH, SHARED, EXPERTS, USED, LAYERS = 64, 32, 96, 6, 2, 2
_HEADS, _KV_HEADS = 4, 2
_F32 = gguf.GGMLQuantizationType.F32


def mixture_shapes(vocabulary: int, layers: int = LAYERS) -> dict[str, tuple[int, ...]]:
    """Return tensor name → shape in numpy order."""
    kv = HIDDEN // _HEADS * _KV_HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, HIDDEN),
        "output_norm.weight": (HIDDEN,),
        "output.weight": (vocabulary, HIDDEN),
    }
    for layer in range(layers):
        block: dict[str, tuple[int, ...]] = {
            "attn_norm.weight": (HIDDEN,),
            "attn_q.weight": (HIDDEN, HIDDEN),
            "attn_k.weight": (kv, HIDDEN),
            "attn_v.weight": (kv, HIDDEN),
            "attn_q.bias": (HIDDEN,),
            "attn_k.bias": (kv,),
            "attn_v.bias": (kv,),
            "attn_output.weight": (HIDDEN, HIDDEN),
            "ffn_norm.weight": (HIDDEN,),
            "ffn_gate_inp.weight": (EXPERTS, HIDDEN),
            "ffn_gate_exps.weight": (EXPERTS, WIDTH, HIDDEN),
            "ffn_up_exps.weight": (EXPERTS, WIDTH, HIDDEN),
            "ffn_down_exps.weight": (EXPERTS, HIDDEN, WIDTH),
            "ffn_gate_inp_shexp.weight": (HIDDEN,),
            "ffn_gate_shexp.weight": (SHARED, HIDDEN),
            "ffn_up_shexp.weight": (SHARED, HIDDEN),
            "ffn_down_shexp.weight": (HIDDEN, SHARED),
        }
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    return shapes


def write_tiny_mixture(
    path: Path,
    *,
    ggml_type: gguf.GGMLQuantizationType = _F32,
    noise: float = 0.0,
    metadata: dict[str, tuple[Any, gguf.GGUFValueType]] | None = None,
) -> Path:
    """Write a tiny random qwen2moe, which has experts and a gated shared expert, to `path` and return `path`.

    Args:
        path: the new file.
        ggml_type: type of the matrices; routers and vectors stay F32.
        noise: standard deviation of noise added to the matrices, to make a lossy variant.
        metadata: keys to add or replace, without the architecture's prefix.
    """
    names, types = tiny_tokens()
    writer = gguf.GGUFWriter(str(path), "qwen2moe")
    u32, f32 = gguf.GGUFValueType.UINT32, gguf.GGUFValueType.FLOAT32
    settings = {
        "context_length": (128, u32),
        "embedding_length": (HIDDEN, u32),
        "block_count": (LAYERS, u32),
        "feed_forward_length": (112, u32),
        "attention.head_count": (_HEADS, u32),
        "attention.head_count_kv": (_KV_HEADS, u32),
        "attention.layer_norm_rms_epsilon": (1e-5, f32),
        "rope.freq_base": (10000.0, f32),
        "expert_count": (EXPERTS, u32),
        "expert_used_count": (USED, u32),
        "expert_feed_forward_length": (WIDTH, u32),
        "expert_shared_feed_forward_length": (SHARED, u32),
        **(metadata or {}),
    }
    for key, (value, kind) in settings.items():
        writer.add_key_value(f"qwen2moe.{key}", value, kind)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(names)
    writer.add_token_types(types)
    writer.add_token_merges(list(MERGES))
    generator, disturbance = np.random.default_rng(0), np.random.default_rng(1)
    for name, shape in mixture_shapes(len(names)).items():
        values = (0.1 * generator.standard_normal(shape)).astype(np.float32)
        if len(shape) < 2 or "ffn_gate_inp" in name:
            writer.add_tensor(name, values + 1 if name.endswith("norm.weight") else values)
            continue
        values += noise * disturbance.standard_normal(shape).astype(np.float32)
        writer.add_tensor(name, gguf.quantize(values, ggml_type), raw_dtype=ggml_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
