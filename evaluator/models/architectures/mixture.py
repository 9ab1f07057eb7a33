"""Mixtures of experts: what their metadata say, which tensors they have, and how a token's experts are chosen.

Each expert is a feed-forward part of its own. GGUF files stack the experts of a layer into one tensor per matrix,
[experts, rows, columns].
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from evaluator.models.architectures.decoder import count, same_in_all_layers
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

#: How scores are computed from logits: `softmax` over all experts, the `sigmoid` of each, or `softmax of chosen`, for
#: which experts are chosen by their logits and the softmax is over the chosen ones.
Gating = Literal["softmax", "sigmoid", "softmax of chosen"]
#: llama.cpp's numbers in `expert_gating_func`.
_GATING_NUMBERS: Mapping[Gating, int] = {"softmax": 1, "sigmoid": 2, "softmax of chosen": 3}

ROUTER, ROUTER_BIAS = "blk.{}.ffn_gate_inp.weight", "blk.{}.ffn_gate_inp.bias"
SELECTION_BIAS = "blk.{}.exp_probs_b.bias"
SHARED_GATE = "blk.{}.ffn_gate_inp_shexp.weight"
_FEED_FORWARD = re.compile(r"blk\.(\d+)\.(ffn_gate|ffn_up|ffn_down)\.(weight|bias)")
#: Words in the names of settings that only mixtures have.
_WORDS = re.compile(r"expert|moe|swiglu|leading_dense")


@dataclass(frozen=True)
class Router:
    """How a layer chooses the experts of a token and weighs their outputs.

    Attributes:
        gating: how scores are computed from logits.
        used: number of experts per token.
        renormalized: whether the scores of the chosen experts are divided by their sum.
        scale: number that the weights are multiplied by.
        groups: number of groups of equal size that the experts are in.
        groups_used: number of groups whose experts may be chosen: those whose two best scores have the largest sums.
    """

    gating: Gating
    used: int
    renormalized: bool
    scale: float = 1.0
    groups: int = 1
    groups_used: int = 1


@dataclass(frozen=True)
class Mixture:
    """The experts of a model.

    Attributes:
        layers: the layers whose feed-forward part is a mixture; the others are dense.
        experts: number of experts per layer.
        width: inner width of an expert.
        router: how experts are chosen.
        shared_width: inner width of the expert that every token passes through; 0 if there is none.
        shared_gated: whether the shared expert's output is multiplied by the sigmoid of a product with its input.
        router_bias: whether logits have a bias.
        selection_bias: whether a bias is added to the scores by which experts are chosen, but not to the weights.
    """

    layers: frozenset[int]
    experts: int
    width: int
    router: Router
    shared_width: int = 0
    shared_gated: bool = False
    router_bias: bool = False
    selection_bias: bool = False

    def renamed(self, names: Mapping[str, str]) -> dict[str, str]:
        """Return graph parameter → tensor with the stacked experts in place of dense feed-forward parts.

        Args:
            names: graph parameter → tensor of the dense model that has the same graph.
        """
        renamed = {}
        for parameter, tensor in names.items():
            match = _FEED_FORWARD.fullmatch(tensor)
            if match is None or int(match[1]) not in self.layers:
                renamed[parameter] = tensor
            elif match[3] == "weight":  # experts with biases are not supported
                renamed[parameter] = f"blk.{match[1]}.{match[2]}_exps.weight"
        return renamed

    def shapes(self, hidden: int) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor that dense models do not have; `hidden` is the model's width."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in sorted(self.layers):
            block = f"blk.{layer}"
            shapes[ROUTER.format(layer)] = (self.experts, hidden)
            if self.router_bias:
                shapes[ROUTER_BIAS.format(layer)] = (self.experts,)
            if self.selection_bias:
                shapes[SELECTION_BIAS.format(layer)] = (self.experts,)
            if self.shared_width and self.shared_gated:
                shapes[SHARED_GATE.format(layer)] = (hidden,)
            for role in ("ffn_gate", "ffn_up", "ffn_down"):
                wide = role != "ffn_down"
                inner = (self.width, hidden) if wide else (hidden, self.width)
                shapes[f"{block}.{role}_exps.weight"] = (self.experts, *inner)
                if self.shared_width:
                    shared = (self.shared_width, hidden) if wide else (hidden, self.shared_width)
                    shapes[f"{block}.{role}_shexp.weight"] = shared
        return shapes

    def traits(self) -> dict[str, Any]:
        """Return name → value of everything that two comparable files have in common, in words for messages."""
        values = asdict(self)
        router = values.pop("router")
        values |= {name: value for name, value in router.items() if name != "used"}
        values["experts_per_token"] = router["used"]
        values["layers"] = sorted(self.layers)
        return {f"mixture's {name.replace('_', ' ')}": value for name, value in values.items()}


def shared_tensor(tensor: str) -> str:
    """Return the shared expert's tensor for one of the stacked experts' tensors."""
    return tensor.replace("_exps.", "_shexp.")


def expert_width(file: ModelFile) -> int:
    """Return an expert's inner width; as in llama.cpp, the experts of a token share the dense width if it is absent.

    Raises:
        SourceError: no width is given, or one is not valid.
    """
    prefix = file.architecture
    if file.metadata.get(f"{prefix}.expert_feed_forward_length"):
        return same_in_all_layers(file, f"{prefix}.expert_feed_forward_length")
    used = same_in_all_layers(file, f"{prefix}.expert_used_count")
    return max(1, same_in_all_layers(file, f"{prefix}.feed_forward_length") // used)


def read_mixture(
    file: ModelFile,
    *,
    gating: Gating,
    renormalized: bool,
    width: int,
    shared_width: int = 0,
    shared_gated: bool = False,
    own_keys: Collection[str] = (),
) -> Mixture:
    """Read the mixture of a family whose layers all have experts.

    Args:
        file: the model.
        gating: the family's gating; GGUF files of most families do not state it.
        renormalized: whether the family divides the chosen experts' scores by their sum.
        width: inner width of an expert.
        shared_width: inner width of the shared expert.
        shared_gated: whether the shared expert has a gate.
        own_keys: further settings that the family reads.

    Raises:
        SourceError: a setting is not valid, or the family's mixtures do not have it.
    """
    prefix = file.architecture
    experts, used = (same_in_all_layers(file, f"{prefix}.expert_{name}") for name in ("count", "used_count"))
    if used > experts:
        raise SourceError(file.path, f"{used} of {experts} experts per token: damaged?")
    neutral: dict[str, tuple[Any, ...]] = {
        "expert_gating_func": (0, _GATING_NUMBERS[gating]),
        "expert_weights_norm": (renormalized,),
        "expert_weights_scale": (0, 1),
        "expert_group_count": (0, 1),
        "expert_group_used_count": (0, 1),
        "expert_shared_count": (0,),
        "expert_shared_feed_forward_length": (0,),
        "leading_dense_block_count": (0,),
        "interleave_moe_layer_step": (0, 1),
        "moe_every_n_layers": (0, 1),
    }
    read = {"expert_count", "expert_used_count", "expert_feed_forward_length", *own_keys}
    for key in file.metadata:
        name = key.removeprefix(f"{prefix}.")
        if name == key or name in read or not _WORDS.search(name):
            continue
        value = file.single(key)
        if value not in neutral.get(name, ()):
            raise SourceError(
                file.path,
                f"metadata key {key} is {value!r}, which mixtures of the {prefix} family do not have",
            )
    return Mixture(
        frozenset(range(count(file, f"{prefix}.block_count"))),
        experts,
        width,
        Router(gating, used, renormalized),
        shared_width,
        shared_gated,
    )
