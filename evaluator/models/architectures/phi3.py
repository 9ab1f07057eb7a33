"""Phi-3, Phi-3.5 and Phi-4: query, key and value in one matrix, gate and up in another."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import ARCHITECTURES, Architecture
from evaluator.models.architectures.decoder import NORMS, decoder_config, sliding_window
from evaluator.models.model_file import ModelFile

_PROJECTIONS = {
    "model.layers.{}.self_attn.qkv_proj.weight": "blk.{}.attn_qkv.weight",
    "model.layers.{}.self_attn.o_proj.weight": "blk.{}.attn_output.weight",
    "model.layers.{}.mlp.gate_up_proj.weight": "blk.{}.ffn_up.weight",
    "model.layers.{}.mlp.down_proj.weight": "blk.{}.ffn_down.weight",
}


def _phi3_config(file: ModelFile) -> dict[str, Any]:
    return decoder_config(file, partial_rotary=True) | {"sliding_window": sliding_window(file)}


ARCHITECTURES.add(
    "phi3",
    Architecture(
        model_type="phi3",
        config=_phi3_config,
        width_free=("intermediate_size",),
        tensors=NORMS | _PROJECTIONS,
        restore={},
    ),
)
