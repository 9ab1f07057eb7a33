"""EXAONE 4 with windows but fewer than 64 layers, for which llama.cpp leaves the windows out: against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from families.recipe import write_recipe
from family_differences import IDS, START, nll_of
from random_families import VOCABULARY, recipe
from transformers import AutoConfig, AutoModelForCausalLM

from evaluator.models.gguf.reader import open_gguf

ROLES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "post_attention_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
WHOLE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def tensor_of(parameter: str) -> str:
    if parameter in WHOLE:
        return WHOLE[parameter]
    _, _, layer, *role, kind = parameter.split(".")
    return f"blk.{layer}.{ROLES['.'.join(role)]}.{kind}"


def losses_in_torch(path: Path) -> np.ndarray:
    config = AutoConfig.for_model(
        "exaone4",
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        rms_norm_eps=1e-3,
        rope_theta=1e6,
        sliding_window=32,
        sliding_window_pattern=4,
        tie_word_embeddings=False,
        attn_implementation="eager",
    )
    model, file = AutoModelForCausalLM.from_config(config).eval(), open_gguf(path)
    names = model.state_dict()
    model.load_state_dict({name: torch.tensor(file.dequantize(tensor_of(name))) for name in names})
    with torch.no_grad():
        logits = model(torch.from_numpy(IDS).long()).logits[:, START:-1].double()
    targets = torch.from_numpy(IDS[:, START + 1 :]).long()
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").numpy()


def test_every_token_s_probability_is_torch_s(tmp_path):
    made = recipe("exaone4", layers=4, window=32)
    del made.values["rope_freqs.weight"]
    path = write_recipe(made, tmp_path / "m.gguf", 0)
    np.testing.assert_allclose(nll_of(open_gguf(path)), losses_in_torch(path), rtol=0, atol=1e-4)
