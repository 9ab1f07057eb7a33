"""GGUF files of the tiny models of every family, by llama.cpp's conventions.

Tensor names come from the table that llama.cpp's converter uses, metadata keys from its writer. Rows are
permuted and norms increased by one, as by that converter. Nothing comes from the code under test.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from family_models import TOKENS, TYPES, Family, torch_model
from tiny_models import MERGES


def write_family(family: Family, path: Path) -> Path:
    """Write the family's model as a GGUF file to `path` and return `path`."""
    model = torch_model(family)
    config = model.config
    writer = gguf.GGUFWriter(str(path), family.architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    family.metadata(writer)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(TOKENS)
    writer.add_token_types(TYPES)
    writer.add_token_merges(list(MERGES))
    architecture = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == family.architecture)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    for parameter, tensor in _stacked(model.state_dict()).items():
        if parameter == "lm_head.weight" and config.tie_word_embeddings:
            continue
        name = names.get_name(parameter, try_suffixes=(".weight", ".bias"))
        writer.add_tensor(name, _as_converted(family, config, parameter, tensor.numpy()))
    for name, values in family.factors.items():
        writer.add_tensor(name, np.asarray(values, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _stacked(parameters: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put the matrices of a layer's experts, `….experts.N.…`, into one tensor, as the converter does."""
    found: dict[str, torch.Tensor] = {}
    for name in parameters:
        parts = name.split(".experts.")
        if len(parts) == 1:
            # A product with one row is a vector in the file.
            found[name] = parameters[name].reshape(-1) if "shared_expert_gate" in name else parameters[name]
        else:
            matrix = parts[1].split(".", 1)[1]
            count = sum(
                other.startswith(f"{parts[0]}.experts.") and other.endswith(matrix) for other in parameters
            )
            rows = [parameters[f"{parts[0]}.experts.{number}.{matrix}"] for number in range(count)]
            found[f"{parts[0]}.experts.{matrix}"] = torch.stack(rows)
    return found


def _as_converted(family: Family, config: Any, parameter: str, values: np.ndarray) -> np.ndarray:
    if parameter.endswith("norm.weight"):
        return values + np.float32(family.norm_offset)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    count = heads.get(parameter.split(".")[-2]) if family.permuted else None
    if not count:
        return values
    halves = values.reshape(count, 2, len(values) // count // 2, *values.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))
