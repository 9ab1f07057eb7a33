"""How a token's experts are chosen in a mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: How scores are computed from logits: `softmax` over all experts, the `sigmoid` of each, or `softmax of chosen`, for
#: which experts are chosen by their logits and the softmax is over the chosen ones.
Gating = Literal["softmax", "sigmoid", "softmax of chosen"]
#: llama.cpp's numbers in `expert_gating_func`.
GATING_NUMBERS: Mapping[Gating, int] = {"softmax": 1, "sigmoid": 2, "softmax of chosen": 3}


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
