"""Settings and defaults of config.json that families share, and the keys that GGUF cannot express."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluator.models.architectures.mixture import GATING_NUMBERS, Gating
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, boolean, booleans, f32, i32_array, u32
from evaluator.support.errors import SourceError

WINDOWED, FULL = "sliding_attention", "full_attention"

#: Defaults of transformers that most families have.
COMMON: Mapping[str, Any] = {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": False}
#: Settings that GGUF cannot express: its attention is causal, without cross-attention, with all heads.
FIXED: Mapping[str, Any] = {"is_causal": True, "add_cross_attention": False, "pruned_heads": {}}
WHOLE_HEADS: Mapping[str, Any] = {**FIXED, "partial_rotary_factor": 1.0}
NO_BIASES: Mapping[str, Any] = {**WHOLE_HEADS, "attention_bias": False}
#: Settings of mixtures that GGUF cannot express: every layer has experts.
ALL_EXPERTS: Mapping[str, Any] = {"decoder_sparse_step": 1, "mlp_only_layers": []}


def inexpressible(config: JsonFile, architecture: str, key: str, given: Any, meant: Any) -> SourceError:
    """Return the error for a setting that GGUF cannot express."""
    return SourceError(
        config.path, f"{key} is {repr(given)[:60]}; a {architecture} GGUF file means {repr(meant)[:60]}"
    )


def rotary_settings(config: JsonFile) -> JsonFile:
    """Return the settings of the rotary embedding: `rope_parameters`, or `rope_scaling` in older files."""
    settings = config.within("rope_parameters")
    if not settings.values:
        settings = config.within("rope_scaling")
    return settings.within("full_attention") if "full_attention" in settings.values else settings


def turned_share(config: JsonFile) -> float:
    """Return the share of each head's dimensions that the rotary embedding rotates."""
    share = config.number("partial_rotary_factor", 1.0)
    return rotary_settings(config).number("partial_rotary_factor", share)


def head_width(config: JsonFile) -> int:
    """Return the number of dimensions of a head."""
    return config.count("head_dim", config.count("hidden_size") // config.count("num_attention_heads"))


def full_head_width(config: JsonFile) -> int:
    """Return the number of dimensions of a head in layers that attend to all positions, if they have their own."""
    for settings in config.within("per_layer_config").values.values():
        if isinstance(settings, dict) and "head_dim" in settings:
            return JsonFile(config.path, settings).count("head_dim")
    return config.count("global_head_dim", 512)


def full_rotary_key(config: JsonFile) -> dict[str, Typed]:
    """Return the metadata key of families whose rotary embedding rotates whole heads."""
    return {"rope.dimension_count": u32(head_width(config))}


def rotated_keys(config: JsonFile) -> dict[str, Typed]:
    """Return the metadata key of families whose rotary embedding rotates a part of each head."""
    return {"rope.dimension_count": u32(int(head_width(config) * turned_share(config)))}


def expert_keys(
    config: JsonFile,
    *,
    count: str = "num_experts",
    used: str = "num_experts_per_tok",
    width: str = "moe_intermediate_size",
    shared: str | None = None,
) -> dict[str, Typed]:
    """Return the metadata keys of experts; the arguments are keys of config.json.

    Args:
        config: the configuration.
        count: of the number of experts.
        used: of the number of experts per token.
        width: of the inner width of an expert.
        shared: of the inner width of the one that all tokens pass through, None without one.
    """
    keys = {
        "expert_count": u32(config.count(count)),
        "expert_used_count": u32(config.count(used)),
        "expert_feed_forward_length": u32(config.count(width)),
    }
    return keys | ({"expert_shared_feed_forward_length": u32(config.count(shared))} if shared else {})


def used_expert_keys(
    config: JsonFile, count: str = "num_experts", used: str = "num_experts_per_tok"
) -> dict[str, Typed]:
    """Return the metadata keys of experts that are as wide as the configuration's feed-forward part."""
    return {"expert_count": u32(config.count(count)), "expert_used_count": u32(config.count(used))}


def routed_expert_keys(config: JsonFile, gating: Gating) -> dict[str, Typed]:
    """Return the metadata keys of experts as DeepSeek's configuration names them.

    Args:
        config: the configuration.
        gating: how scores are computed.
    """
    normalized = config.values.get("norm_topk_prob")
    if not isinstance(normalized, bool):
        raise config.error("norm_topk_prob", normalized, "true or false")
    grouped = {
        key: u32(config.count(name))
        for key, name in (("expert_group_count", "n_group"), ("expert_group_used_count", "topk_group"))
        if config.values.get(name) is not None
    }
    return {
        **expert_keys(config, count="n_routed_experts"),
        **grouped,
        "expert_shared_count": u32(config.whole("n_shared_experts")),
        "leading_dense_block_count": u32(config.whole("first_k_dense_replace")),
        "expert_gating_func": u32(GATING_NUMBERS[gating]),
        "expert_weights_scale": f32(config.number("routed_scaling_factor")),
        "expert_weights_norm": boolean(normalized),
    }


def sections_keys(config: JsonFile, usual: Sequence[int]) -> dict[str, Typed]:
    """Return the metadata key of the parts of positions, which are equal in texts.

    Args:
        config: the configuration.
        usual: the family's four parts.
    """
    sections = rotary_settings(config).items("mrope_section") or list(usual)
    if len(sections) > len(usual) or not all(type(size) is int for size in sections):
        raise config.error("mrope_section", sections, "up to four whole numbers")
    return {"rope.dimension_sections": i32_array(sections + [0] * (len(usual) - len(sections)))}


def window_keys(config: JsonFile, period: int, usual_period: int) -> dict[str, Typed]:
    """Return the keys of the sliding window, with the windowed layers if they differ from the family's default."""
    keys = {"attention.sliding_window": u32(config.count("sliding_window"))}
    layers = config.count("num_hidden_layers")
    types = layer_types(config) or _periodic(layers, period)
    if types != _periodic(layers, usual_period):
        keys["attention.sliding_window_pattern"] = booleans([kind == WINDOWED for kind in types])
    return keys


def fixed_window(config: JsonFile) -> int | None:
    """Return the sliding window of families that have it in all layers; None without one."""
    return config.count("sliding_window") if config.values.get("sliding_window") is not None else None


def layer_types(config: JsonFile, known: tuple[str, ...] = (WINDOWED, FULL)) -> list[str] | None:
    """Return the kind of attention of each layer, None if the configuration does not list them.

    Raises:
        SourceError: the list does not have an entry per layer, or a kind is not known.
    """
    types = config.items("layer_types")
    if not types:
        return None
    layers = config.count("num_hidden_layers")
    if len(types) != layers:
        raise config.error("layer_types", types, f"a list of {layers}")
    for kind in types:
        if kind not in known:
            raise config.error("an item of layer_types", kind, " or ".join(known))
    return types


def _periodic(layers: int, period: int) -> list[str]:
    return [WINDOWED if (layer + 1) % period else FULL for layer in range(layers)]
