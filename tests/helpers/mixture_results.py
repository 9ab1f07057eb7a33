"""Write a results folder of a hybrid mixture of experts: some layers have a state, each fourth has attention."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from results_factory import NOISE, make_results

from evaluator.results.schema import Layers, frame_of

EXPERT_ROLES = ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
ATTENTION_ROLES = ("attn_q", "attn_k", "attn_v", "attn_output")
STATE_ROLES = ("attn_qkv", "attn_gate", "ssm_alpha", "ssm_beta", "ssm_out")
SHARED_ROLES = ("ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp")
#: The worst expert of all: place and number, and how much worse than the others it is.
WORST, WORST_BY = (5, "ffn_down_exps", 3), 2.0
#: Bits per weight of the types in the folder.
_BITS = {"Q4_0": 4.5, "Q8_0": 8.5, "F32": 32.0}
_EVERY = 4


def make_mixture_results(
    folder: Path, *, layers: int = 8, experts: int = 16, methods: Sequence[str] = ("main",)
) -> Path:
    """Write synthetic results of a mixture in Q4_0 and Q8_0 to `folder` and return it.

    Layer 0 has no experts. Routing changes more from layer to layer, as the output error does. The router is in F32,
    the shared expert in Q8_0.
    """
    make_results(folder, methods=methods, quants=("Q4_0", "Q8_0"), windows=4, with_layers=False)
    variants = pl.read_parquet(folder / "variants.parquet").filter(~pl.col("is_baseline"))
    rng = np.random.default_rng(7)
    rows = [
        row
        for name, method, quant in variants.select("variant_id", "method", "quant").iter_rows()
        for row in _rows(name, quant, NOISE.get(method, 1.0), (layers, experts), rng)
    ]
    frame_of(Layers, rows).write_parquet(folder / "layers.parquet")
    return folder


def _rows(
    name: str, quant: str, noise: float, shape: tuple[int, int], rng: np.random.Generator
) -> list[dict[str, Any]]:
    layers, experts = shape
    error = noise * 2.0 ** -_BITS[quant]
    rows = [_matrix(name, -1, role, "Q8_0", noise / 400) for role in ("token_embd", "output")]
    for layer in range(layers):
        own = ATTENTION_ROLES if (layer + 1) % _EVERY == 0 else STATE_ROLES
        rows += [_matrix(name, layer, role, quant, error * rng.uniform(0.9, 1.1)) for role in own]
        growth = (layer + 1) / layers
        whole: dict[str, Any] = {
            "variant_id": name,
            "layer": layer,
            "role": "layer",
            "hidden_error": error * growth,
        }
        if layer == 0:
            rows += [_matrix(name, 0, role, quant, error) for role in ("ffn_gate", "ffn_up", "ffn_down")]
        else:
            rows.append(_matrix(name, layer, "ffn_gate_inp", "F32", 0.0))
            rows += [_matrix(name, layer, role, "Q8_0", noise / 400) for role in SHARED_ROLES]
            for role in EXPERT_ROLES:
                errors = error * rng.uniform(0.9, 1.1, experts)
                if (layer, role) == WORST[:2]:
                    errors[WORST[2]] = WORST_BY * error
                rows.append(_matrix(name, layer, role, quant, float(errors.mean()), errors.tolist()))
            whole |= {"routing_changed": min(1.0, 4 * error * growth), "routing_kld": error * growth**2}
        rows.append(whole)
    return rows


def _matrix(
    name: str, layer: int, role: str, kind: str, error: float, experts: list[float] | None = None
) -> dict[str, Any]:
    return {
        "variant_id": name,
        "layer": layer,
        "role": role,
        "quant_type": kind,
        "bits_per_weight": _BITS[kind],
        "weight_error": error,
        "expert_errors": experts,
    }
