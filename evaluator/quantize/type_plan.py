"""Plan the type of every tensor from a recipe and a model.

Decisions are made in llama-quantize's order: tensors that stay as they are; the user's tensor types; the mixture's
rules; and last, where a row does not divide into blocks, a fallback type whose blocks it fits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.architectures import EMBEDDING, HEAD
from evaluator.models.model_file import ModelFile, TensorInfo
from evaluator.models.tensor_types import written_type
from evaluator.quantize.conditions import holds
from evaluator.quantize.ggml import QUANTIZABLE, block_size, needs_importance
from evaluator.quantize.like import followed_types
from evaluator.quantize.recipe import Choice
from evaluator.quantize.recipe_file import Role
from evaluator.support.errors import RequestError

TypePlan = Mapping[str, GGMLType]

_BLOCK = re.compile(r"^blk\.(\d+)\.")
_ROLE_PARTS: Mapping[Role, str] = {
    "attn_k": "attn_k.weight",
    "attn_q": "attn_q.weight",
    "attn_output": "attn_output.weight",
    "ffn_up": "ffn_up",
    "ffn_gate": "ffn_gate",
    "ffn_down": "ffn_down",
}
#: The embedding, and the one of models that add a part of it in every block.
EMBEDDINGS = (EMBEDDING, "per_layer_token_embd.weight")
_FLOATS = (GGMLType.F32, GGMLType.F16, GGMLType.BF16)
#: llama.cpp's fallbacks for rows that are not a multiple of 256, to types with blocks of 32.
FALLBACKS: Mapping[GGMLType, GGMLType] = {
    GGMLType.Q2_K: GGMLType.Q4_0,
    GGMLType.Q3_K: GGMLType.Q4_0,
    GGMLType.TQ1_0: GGMLType.Q4_0,
    GGMLType.TQ2_0: GGMLType.Q4_0,
    GGMLType.Q4_K: GGMLType.Q5_0,
    GGMLType.Q5_K: GGMLType.Q5_1,
    GGMLType.Q6_K: GGMLType.Q8_0,
    **{
        kind: GGMLType.IQ4_NL
        for kind in QUANTIZABLE
        if kind.name.startswith("IQ") and kind != GGMLType.IQ4_NL
    },
}
#: Types that llama.cpp does not make without an importance matrix, because the result would be unusable.
NEED_IMPORTANCE = frozenset(
    GGMLType[name] for name in ("IQ3_XXS", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_M", "IQ1_S")
)


def layer_of(name: str) -> int:
    """Return the block a tensor belongs to, −1 outside the blocks."""
    match = _BLOCK.match(name)
    return int(match[1]) if match else -1


def role_of(name: str, *, tied: bool) -> Role:
    """Return a tensor's role in llama-quantize's categories.

    Fused query-key-value matrices count as values, and in tied models every embedding as the head.
    """
    if name == HEAD or (tied and name in EMBEDDINGS):
        return "head"
    if name in EMBEDDINGS:
        return "token_embd"
    if any(part in name for part in ("attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight")):
        return "attn_v"
    return next((role for role, part in _ROLE_PARTS.items() if part in name), "other")


def fitting(kind: GGMLType, columns: int) -> GGMLType:
    """Return `kind`, or the type that llama.cpp falls back to for rows of `columns`."""
    if columns % block_size(kind) == 0:
        return kind
    other = FALLBACKS.get(kind, kind)
    return other if columns % block_size(other) == 0 else GGMLType.F16


def stays(choice: Choice, info: TensorInfo, architecture: str) -> bool:
    """Return whether llama-quantize leaves a tensor as it is."""
    name = info.name
    one_row = info.n_elements == info.shape[-1]  # a vector to llama.cpp, whatever its dimensions
    kept = (*choice.keep, *choice.keep_in.get(architecture, ()))
    return one_row or not name.endswith("weight") or any(part in name for part in kept)


def make_plan(file: ModelFile, choice: Choice, importance: Mapping[str, Any] | None) -> TypePlan:
    """Return the type of every tensor of `file`, in llama.cpp's order of tensors.

    Args:
        file: the model to quantize.
        choice: the mixture.
        importance: tensor name → importances; None without an importance matrix.

    Raises:
        RequestError: the recipe does not fit the model, or needs importances that are missing.
        SourceError: the model's metadata is incomplete.
    """
    if choice.followed is not None:
        plan: TypePlan = followed_types(file, choice.recipe, choice.followed, _ordered(file))
    else:
        wanted = _wanted(file, choice, importance is not None)
        plan = {name: fitting(kind, file.tensors[name].shape[-1]) for name, kind in wanted.items()}
    _check_importance(file, choice, plan, importance)
    return plan


def fallbacks(
    file: ModelFile, choice: Choice, *, importance: bool
) -> Mapping[tuple[GGMLType, GGMLType], int]:
    """Count the matrices that get a fallback: (the mixture's type, the fallback) → number of matrices.

    None do where the types are another file's, or chosen among those that fit.
    """
    if choice.followed is not None or choice.sensitivity == "divergence":
        return {}
    pairs = (
        (kind, fitting(kind, file.tensors[name].shape[-1]))
        for name, kind in _wanted(file, choice, importance).items()
    )
    return Counter(pair for pair in pairs if pair[0] != pair[1])


def _ordered(file: ModelFile) -> list[str]:
    return sorted(file.tensors, key=lambda name: (layer_of(name), name))


def _wanted(file: ModelFile, choice: Choice, importance: bool) -> TypePlan:
    """Return the mixture's type for every tensor, before fallbacks."""
    names = _ordered(file)
    for pattern in choice.patterns:
        if not any(re.search(pattern, name) for name in names):
            raise RequestError(
                f"recipe {choice.recipe}: pattern {pattern!r} matches no tensor of {file.path}"
            )
    if choice.overrides and choice.type in _FLOATS:
        reason = "tensor types apply to sizes that quantize, as in llama-quantize: name one, such as Q8_0"
        raise RequestError(f"recipe {choice.recipe}, {choice.label}: {reason}")
    model = _model_facts(file, choice, importance)
    tied = HEAD not in file.tensors
    totals = Counter(role_of(name, tied=tied) for name in names)
    seen: Counter[str] = Counter()
    decisive: set[tuple[str, GGMLType]] = set()
    plan: dict[str, GGMLType] = {}
    for name in names:
        info = file.tensors[name]
        if stays(choice, info, file.architecture):
            vector = len(info.shape) < 2 and info.ggml_type in _FLOATS
            plan[name] = GGMLType.F32 if vector else written_type(info.ggml_type)
            continue
        override = next((item for item in choice.overrides if re.search(item[0], name)), None)
        if override is not None:
            decisive.add(override)
            plan[name] = override[1]
            continue
        role = role_of(name, tied=tied)
        # As in llama.cpp: the number of tensors for values, of blocks for everything else.
        layers = totals[role] if role == "attn_v" else int(model["blocks"])
        # Also as there: a counter per role, but the block's number for feed-forward tensors of models with experts,
        # except in the mixtures of 1 and 2 bits, which count the shared and the routed experts of a block as two.
        numbered = role.startswith("ffn") and int(model["experts"]) > 1 and not choice.low_bit
        layer = layer_of(name) if numbered else seen[role]
        seen[role] += 1
        facts = model | _tensor_facts(info, layer, layers)
        plan[name] = _decide(choice, role, name, facts)
    _check_overrides(choice, plan, decisive)
    return plan


def _check_overrides(choice: Choice, plan: TypePlan, decisive: Collection[tuple[str, GGMLType]]) -> None:
    """Check that every given tensor type has an effect, or states the type of a tensor that stays as it is.

    Raises:
        RequestError: one does neither; the message names it.
    """
    for pattern, kind in choice.overrides:
        matched = [name for name in plan if re.search(pattern, name)]
        agrees = any(plan[name] == kind or {plan[name], kind} <= set(_FLOATS) for name in matched)
        if (pattern, kind) not in decisive and not agrees:
            name = matched[0]
            reason = f"{name} is {plan[name].name}: an earlier pattern decides, or it is never quantized"
            raise RequestError(f"recipe {choice.recipe}: {pattern}={kind.name} has no effect: {reason}")


def _decide(choice: Choice, role: Role, name: str, facts: Mapping[str, Any]) -> GGMLType:
    kind = choice.type
    for rule in choice.rules:
        if rule.role not in (None, role) or (rule.of and kind not in rule.of):
            continue
        if rule.tensor is not None and not re.search(rule.tensor, name):
            continue
        try:
            if rule.when is None or holds(rule.when, facts):
                kind = rule.type
        except ValueError as error:
            raise RequestError(f"recipe {choice.recipe}, {choice.label}, {name}: {error}") from None
    return kind


def _model_facts(file: ModelFile, choice: Choice, importance: bool) -> dict[str, Any]:
    prefix = file.architecture
    blocks = _first(file.require(f"{prefix}.block_count"))
    heads = _first(file.metadata.get(f"{prefix}.attention.head_count", 0))
    groups = _first(file.metadata.get(f"{prefix}.attention.head_count_kv", heads))
    return {
        "architecture": prefix,
        "blocks": blocks,
        "gqa": heads // groups if groups else 0,
        "experts": _first(file.metadata.get(f"{prefix}.expert_count", 0)),
        "quant": choice.stock,
        "default": choice.type.name,
        "block": block_size(choice.type),
        "low_bit": choice.low_bit,
        "importance": importance,
    }


def _first(value: Any) -> int:
    """Return a count, or the first layer's if the model gives one per layer."""
    return int(value) if isinstance(value, (int, float)) else int(value[0])


def _tensor_facts(info: TensorInfo, layer: int, layers: int) -> dict[str, Any]:
    rows, columns = info.shape[-2:]
    return {
        "name": info.name,
        "layer": layer,
        "layers": layers,
        "more_bits": layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2,
        "matrices": info.n_elements // (rows * columns),
        "rows": rows,
        "columns": columns,
    }


def _check_importance(
    file: ModelFile, choice: Choice, plan: TypePlan, importance: Mapping[str, Any] | None
) -> None:
    """Check that the types that need importances have them.

    Raises:
        RequestError: importances are missing, altogether or for one tensor.
    """
    if importance is None and choice.importance == "required":
        raise RequestError(f"recipe {choice.recipe} needs an importance matrix: --imatrix FILE")
    strict = NEED_IMPORTANCE | frozenset(choice.needs_importance)
    for name, kind in plan.items():
        if kind == file.tensors[name].ggml_type:
            continue
        outside = name in (*EMBEDDINGS, HEAD)
        needed = needs_importance(kind) if outside else kind in strict
        if needed and importance is None:
            reason = f"{kind.name} ({name}) needs an importance matrix: --imatrix FILE"
            raise RequestError(f"recipe {choice.recipe}, {choice.label}: {reason}")
        if needed and importance is not None and name not in importance:
            reason = f"{kind.name} needs importances, and the importance matrix has none for {name}"
            raise RequestError(f"recipe {choice.recipe}, {choice.label}: {reason}")
