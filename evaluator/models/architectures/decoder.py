"""Tensors, configuration and metadata readers of Llama-like decoders, shared by the families."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

NORMS = {
    "model.layers.{}.input_layernorm.weight": "blk.{}.attn_norm.weight",
    "model.layers.{}.post_attention_layernorm.weight": "blk.{}.ffn_norm.weight",
    "model.norm.weight": "output_norm.weight",
}
_MODULES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
PROJECTIONS = {
    f"model.layers.{{}}.{module}.weight": f"blk.{{}}.{tensor}.weight" for tensor, module in _MODULES.items()
}
#: Settings of other families, without the prefix, and the values that have no effect.
NEUTRAL: Mapping[str, tuple[float, ...]] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": (0,),
    "attention.max_alibi_bias": (0,),
    "attn_logit_softcapping": (0,),
    "final_logit_softcapping": (0,),
    "embedding_scale": (0, 1),
    "residual_scale": (0, 1),
    "logit_scale": (0, 1),
    "nextn_predict_layers": (0,),
    "use_parallel_residual": (False,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "expert_group_count": (0, 1),
    "expert_group_used_count": (0, 1),
    "expert_shared_count": (0,),
    "expert_shared_feed_forward_length": (0,),
    "leading_dense_block_count": (0,),
    "interleave_moe_layer_step": (0, 1),
    "moe_every_n_layers": (0, 1),
}
#: Far more than any model has.
MOST_LAYERS = 10_000
QUERY_KEY_NORMS = {
    f"model.layers.{{}}.self_attn.{letter}_norm.weight": f"blk.{{}}.attn_{letter}_norm.weight"
    for letter in "qk"
}


def biases(*roles: str) -> dict[str, str]:
    """Return parameter pattern → tensor pattern of the biases of these projections."""
    return {f"model.layers.{{}}.{_MODULES[role]}.bias": f"blk.{{}}.{role}.bias" for role in roles}


def decoder_config(
    file: ModelFile,
    *,
    partial_rotary: bool = False,
    own_keys: Collection[str] = (),
) -> dict[str, Any]:
    """Return the configuration that all Llama-like decoders share.

    Args:
        file: the model.
        partial_rotary: whether the family may rotate only a part of each head's dimensions.
        own_keys: keys of `NEUTRAL` that the family supports.

    Raises:
        SourceError: a key is missing, or the model has experts that its family does not have, unequal heads,
            another rotary width, or a setting that the family's graph does not compute.
    """
    prefix = file.architecture
    if file.single(f"{prefix}.expert_count"):
        raise SourceError(file.path, f"mixtures of experts of the {prefix} family are not supported")
    heads = same_in_all_layers(file, f"{prefix}.attention.head_count")
    kv_heads = same_in_all_layers(file, f"{prefix}.attention.head_count_kv", heads)
    hidden = count(file, f"{prefix}.embedding_length")
    if heads % kv_heads:
        raise SourceError(file.path, f"{heads} heads do not divide into {kv_heads} groups")
    if hidden % heads and f"{prefix}.attention.key_length" not in file.metadata:
        raise SourceError(file.path, f"{heads} heads do not divide a width of {hidden}")
    head_dim = count(file, f"{prefix}.attention.key_length", hidden // heads)
    if count(file, f"{prefix}.attention.value_length", head_dim) != head_dim:
        raise SourceError(file.path, "attention values of another width than the keys are not supported")
    turned = count(file, f"{prefix}.rope.dimension_count", head_dim)
    if turned > head_dim or turned % 2 or (turned < head_dim and not partial_rotary):
        raise SourceError(
            file.path, f"rotary embedding of {turned} of {head_dim} dimensions is not supported"
        )
    _check_neutral(file, own_keys, head_dim, turned)
    layers = count(file, f"{prefix}.block_count")
    if layers > MOST_LAYERS:
        raise SourceError(file.path, f"{layers:,} layers are not plausible: damaged?")
    settings = {
        "hidden_size": hidden,
        "intermediate_size": same_in_all_layers(file, f"{prefix}.feed_forward_length"),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "rms_norm_eps": number(file, f"{prefix}.attention.layer_norm_rms_epsilon"),
        "rope_theta": number(file, f"{prefix}.rope.freq_base", 10000.0),
    }
    if turned < head_dim:
        # transformers rounds head_dim × factor down, so the factor must not be below the quotient.
        settings["partial_rotary_factor"] = math.nextafter(turned / head_dim, 1)
    return settings


def _check_neutral(file: ModelFile, own_keys: Collection[str], head_dim: int, turned: int) -> None:
    """Check that settings which the graph does not compute have values without effect.

    Raises:
        SourceError: a setting has an effect.
    """
    widths: dict[str, tuple[float, ...]] = {
        "attention.scale": (0, head_dim**-0.5),
        "attention.key_length_swa": (head_dim,),
        "attention.value_length_swa": (head_dim,),
        "rope.dimension_count_swa": (turned,),
    }
    for name, neutral in {**NEUTRAL, **widths}.items():
        key = f"{file.architecture}.{name}"
        if name in own_keys or key not in file.metadata:
            continue
        value = file.single(key)
        number = isinstance(value, (bool, int, float))
        if not number or not any(math.isclose(value, other, rel_tol=1e-6) for other in neutral):
            raise SourceError(
                file.path,
                f"metadata key {key} is {value!r}, which a {file.architecture} graph does not compute",
            )


def rotary_width(settings: dict[str, Any]) -> int:
    """Return how many dimensions of each head the rotary embedding rotates."""
    return int(settings["head_dim"] * settings.get("partial_rotary_factor", 1.0))


def sliding_window(file: ModelFile) -> int | None:
    """Return how many positions, its own included, a token attends to in windowed layers; None for all.

    Raises:
        SourceError: the value is not a whole number.
    """
    key = f"{file.architecture}.attention.sliding_window"
    return count(file, key) if file.single(key) else None


def layer_types(file: ModelFile, n_layers: int, period: int) -> list[str]:
    """Return the kind of attention of each layer: from the file's pattern, else all but every `period`-th windowed.

    Raises:
        SourceError: the file's pattern is not valid.
    """
    key = f"{file.architecture}.attention.sliding_window_pattern"
    pattern = file.metadata.get(key, period)
    if isinstance(pattern, (list, np.ndarray)):
        if len(pattern) < n_layers:
            raise SourceError(file.path, f"metadata key {key} holds {len(pattern)} of {n_layers} layers")
        windowed = [bool(item) for item in pattern[:n_layers]]
    else:
        period = count(file, key, period)
        windowed = [(layer + 1) % period != 0 for layer in range(n_layers)]
    return ["sliding_attention" if item else "full_attention" for item in windowed]


def count(file: ModelFile, key: str, default: int | None = None) -> int:
    """Return a metadata value that must be a positive whole number.

    Raises:
        SourceError: it is missing without a default, or something else.
    """
    return _positive(file, key, file.require(key) if default is None else file.metadata.get(key, default))


def same_in_all_layers(file: ModelFile, key: str, default: int | None = None) -> int:
    """Return a positive whole number that may be given per layer but must be the same in all layers.

    Raises:
        SourceError: it is missing without a default, differs between layers, or is something else.
    """
    value = file.metadata.get(key)
    if not isinstance(value, np.ndarray) or not value.size:
        return count(file, key, default)
    if len(set(value.tolist())) > 1:
        raise SourceError(file.path, f"metadata key {key} differs between layers, which is not supported")
    return _positive(file, key, value.tolist()[0])


def _positive(file: ModelFile, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SourceError(file.path, f"metadata key {key} is {value!r}, not a positive whole number")
    return value


def number(file: ModelFile, key: str, default: float | None = None) -> float:
    """Return a metadata value that must be a positive finite number.

    Raises:
        SourceError: it is missing without a default, or something else.
    """
    value = file.require(key) if default is None else file.metadata.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise SourceError(file.path, f"metadata key {key} is {value!r}, not a positive number")
    return float(value)


def optional_number(file: ModelFile, key: str) -> float | None:
    """Return a metadata value that must be a positive finite number, None if it is missing or zero.

    Raises:
        SourceError: it is something else.
    """
    return number(file, key) if file.single(key) else None
