"""Gemma 3n and Gemma 4: what files say and what they imply; Gemma 3n's losses against torch's.

llama.cpp takes GELU from a table of half-precision numbers, shares keys and values of Gemma 3n from a fixed layer on,
and divides its variances by one less.
"""

from __future__ import annotations

import re

import gguf
import numpy as np
import pytest
import torch
from family_differences import IDS, START, nll_of
from random_families import VOCABULARY, write

from evaluator.export.composing.fit import fitting_shapes, left_out
from evaluator.export.exact.graph import load_graph
from evaluator.export.pieces import cut
from evaluator.models.architectures import EMBEDDING, described
from evaluator.models.architectures.mixers import AlternatingUpdates
from evaluator.models.gguf.reader import open_gguf
from evaluator.support.errors import SourceError

SPARSITY = [0.95, 0.5, 0.0, 0.0]
#: The quantiles of these shares.
SPARSITY_SCALES = [1.6448536, 0.0, -np.inf, -np.inf]


def opened(name, tmp_path, metadata=(), **options):
    file = open_gguf(write(name, tmp_path / "m.gguf", **options))
    file.metadata.update({f"{name}.{key}": value for key, value in dict(metadata).items()})
    return file


def torch_gemma3n(file):
    from transformers.models.gemma3n.configuration_gemma3n import Gemma3nTextConfig
    from transformers.models.gemma3n.modeling_gemma3n import Gemma3nForCausalLM

    config = Gemma3nTextConfig(
        vocab_size=VOCABULARY,
        vocab_size_per_layer_input=VOCABULARY,
        hidden_size=64,
        hidden_size_per_layer_input=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        sliding_window=32,
        layer_types=["sliding_attention", "full_attention"] * 2,
        num_kv_shared_layers=2,
        activation_sparsity_pattern=SPARSITY,
        altup_active_idx=0,
        rms_norm_eps=1e-3,
        rope_theta=1e6,
        rope_local_base_freq=1e4,
        final_logit_softcapping=30.0,
    )
    model = Gemma3nForCausalLM(config).eval()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3N, 4)
    state = {}
    for key in model.state_dict():
        if stacked := re.fullmatch(r"model\.altup_(projections|unembed_projections)\.(\d)\.weight", key):
            role = {"projections": "proj", "unembed_projections": "unembd_proj"}[stacked[1]]
            values = file.dequantize(f"altup_{role}.weight")[int(stacked[2])]
        else:
            name = names.get_name(key, try_suffixes=(".weight",)) if key != "lm_head.weight" else EMBEDDING
            values = file.dequantize(name if name in file.tensors else f"{name}.weight")
        state[key] = torch.from_numpy(values)
    model.load_state_dict(state)
    return model


@torch.no_grad()
def test_gemma3n_computes_what_torch_computes(tmp_path):
    scales = {"activation_sparsity_scale": np.float32(SPARSITY_SCALES)}
    file = opened("gemma3n", tmp_path, scales, layers=4, shared_layers=2)
    logits = torch_gemma3n(file)(torch.from_numpy(IDS).long()).logits[:, START:-1].double()
    targets = torch.from_numpy(IDS[:, START + 1 :]).long()
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    np.testing.assert_allclose(nll_of(file).ravel(), expected.numpy(), rtol=0, atol=2e-4)


def attentions(decoder):
    found = (layer[0].mixers[0] for layer in decoder.layers)
    return [mixer.attention if isinstance(mixer, AlternatingUpdates) else mixer for mixer in found]


@pytest.mark.parametrize("name", ["gemma3n", "gemma4"])
def test_last_layers_use_the_keys_of_the_last_one_with_their_window(tmp_path, name):
    decoder = described(opened(name, tmp_path, layers=6, period=2, shared_layers=2))
    found = attentions(decoder)
    assert [mixer.keeps for mixer in found[:2]] == [None, None]
    assert [mixer.keeps for mixer in found[2:4]] == [mixer.shares for mixer in found[4:]]
    assert [mixer.window for mixer in found] == [32, None] * 3
    assert dict(decoder.kept) == {mixer.keeps: 2 * mixer.kv_heads * mixer.width for mixer in found[2:4]}


def test_keys_that_a_file_holds_for_such_layers_are_left_out(tmp_path):
    file = opened("gemma3n", tmp_path, layers=4, shared_layers=2)
    decoder = described(file)
    assert "blk.3.attn_k.weight" in file.tensors
    assert "blk.3.attn_k.weight" not in fitting_shapes(file, decoder)
    assert set(left_out(file, decoder).values()) == {"keys and values of layers that use earlier ones"}


def test_what_older_files_of_gemma3n_do_not_state(tmp_path):
    file = opened("gemma3n", tmp_path, layers=25)
    for key in (
        "activation_sparsity_scale",
        "attention.shared_kv_layers",
        "attention.sliding_window_pattern",
        "rope.freq_base_swa",
    ):
        del file.metadata[f"gemma3n.{key}"]
    decoder = described(file)
    updates = [part.mixers[0] for (part,) in decoder.layers]
    assert [mixer.window is None for mixer in attentions(decoder)] == [False, False, False, False, True] * 5
    assert [mixer.shares is None for mixer in attentions(decoder)] == [True] * 20 + [False] * 5
    assert [update.feed_forward.sparsity is None for update in updates] == [False] * 10 + [True] * 15
    assert [rotary.base for rotary in decoder.rotary] == [1e6, 1e4]


def test_logits_of_gemma4_have_no_bound_that_the_file_does_not_state(tmp_path):
    file = opened("gemma4", tmp_path)
    assert described(file).softcap
    del file.metadata["gemma4.final_logit_softcapping"]
    assert described(file).softcap is None


@pytest.mark.parametrize(
    ("name", "key", "value", "reason"),
    [
        ("gemma3n", "altup.active_idx", 4, "stream 4 of 4 is active"),
        ("gemma3n", "activation_sparsity_scale", [np.nan, 0.0], "no number for each layer"),
        ("gemma3n", "activation_sparsity_scale", "all", "no number for each layer"),
        ("gemma3n", "attention.shared_kv_layers", 2, "layer 0 has no keys to share"),
        ("gemma3n", "attention.causal", False, "does not compute"),
        ("gemma4", "attention.shared_kv_layers", 99, "layer 0 has no keys to share"),
        ("gemma4", "attention.value_length_swa", 16, "another width than the keys"),
        ("gemma4", "attention.causal", False, "does not compute"),
    ],
)
def test_a_setting_that_is_not_computed(tmp_path, name, key, value, reason):
    with pytest.raises(SourceError, match=reason):
        described(opened(name, tmp_path, {key: value}))


@pytest.mark.parametrize("name", ["gemma3n", "gemma4"])
def test_layers_of_the_same_structure_have_the_same_pieces(tmp_path, name):
    """Each structure has a session, which keeps memory of its own."""
    file = opened(name, tmp_path, layers=6, period=2, shared_layers=0)
    layers = [piece for piece in cut(load_graph(file)) if piece.layer >= 0]
    assert len({piece.model for piece in layers}) == len({piece.model for piece in layers if piece.layer < 2})
