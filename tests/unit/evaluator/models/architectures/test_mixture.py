"""What a file says about its experts, and the files that are rejected."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from tiny_mixtures import EXPERTS, HIDDEN, SHARED, WIDTH, write_tiny_mixture
from tiny_models import write_tiny_llama

from evaluator.export.exact.graph import graph_request
from evaluator.models.architectures import architecture_of, tensor_names
from evaluator.models.architectures.mixture import Router, expert_width
from evaluator.models.gguf.reader import open_gguf
from evaluator.planning.plan import check_comparable, comparable_traits
from evaluator.support.errors import SourceError

U32 = gguf.GGUFValueType.UINT32


@pytest.fixture
def file(tmp_path):
    return open_gguf(write_tiny_mixture(tmp_path / "m.gguf"))


def mixture(file):
    return architecture_of(file).mixture(file)


def test_experts_are_read_and_their_graph_is_the_dense_sibling_s(file):
    found = mixture(file)
    assert (found.experts, found.width, found.shared_width) == (EXPERTS, WIDTH, SHARED)
    assert found.layers == {0, 1}
    assert found.router == Router("softmax", 2, renormalized=False)
    request = graph_request(file)
    assert (request["model_type"], request["settings"]["intermediate_size"]) == ("qwen2", WIDTH)
    names = tensor_names(architecture_of(file), 2, found)
    assert names["model.layers.1.mlp.up_proj.weight"] == "blk.1.ffn_up_exps.weight"
    assert set(names.values()) | set(found.shapes(HIDDEN)) >= set(file.tensors) - {
        "token_embd.weight",
        "output.weight",
    }


def test_width_of_experts_follows_from_the_dense_width_if_it_is_not_given(file):
    file.metadata["qwen2moe.expert_feed_forward_length"] = 0
    assert expert_width(file) == 112 // 2
    with pytest.raises(
        SourceError, match=r"ffn_gate_exps\.weight is \(6, 32, 64\), the metadata say \(6, 56, 64\)"
    ):
        graph_request(file)


NEUTRAL = [
    ("expert_gating_func", 1, 2),
    ("expert_weights_norm", False, True),
    ("expert_weights_scale", 1.0, 2.5),
    ("expert_group_count", 1, 2),
    ("expert_group_used_count", 0, 2),
    ("expert_shared_count", 0, 1),
    ("leading_dense_block_count", 0, 1),
    ("interleave_moe_layer_step", 1, 2),
    ("moe_every_n_layers", 0, 2),
    ("swiglu_clamp_exp", None, np.array([0.0, 7.0])),
    ("expert_group_scale", None, 0.05),
    ("moe_latent_size", None, 16),
    ("expert_of_next_year", None, 0),
]


@pytest.mark.parametrize(("key", "neutral", "other"), NEUTRAL)
def test_setting_that_would_change_the_result_is_refused(file, key, neutral, other):
    before = mixture(file)
    if neutral is not None:
        file.metadata[f"qwen2moe.{key}"] = neutral
        assert mixture(file) == before
    file.metadata[f"qwen2moe.{key}"] = other
    with pytest.raises(SourceError, match=f"qwen2moe.{key}"):
        mixture(file)


@pytest.mark.parametrize("value", [0, -1, True, 7])
def test_number_of_experts_per_token_is_plausible(file, value):
    file.metadata["qwen2moe.expert_used_count"] = value
    with pytest.raises(SourceError):
        mixture(file)


@pytest.mark.parametrize(
    "name",
    ["ffn_gate_inp.weight", "ffn_up_exps.weight", "ffn_down_shexp.weight", "ffn_gate_inp_shexp.weight"],
)
def test_missing_tensor_is_named(file, name):
    del file.tensors[f"blk.1.{name}"]
    with pytest.raises(SourceError, match=rf"tensor blk\.1\.{name} is missing"):
        graph_request(file)


@pytest.mark.parametrize(
    "name",
    [
        "ffn_up.weight",
        "ffn_up_exps.bias",
        "ffn_up_exps.scale",
        "ffn_gate_inp.bias",
        "exp_probs_b.bias",
        "ffn_gate.0.weight",
    ],
)
def test_tensor_that_would_be_left_out_is_refused(file, name):
    file.tensors[f"blk.0.{name}"] = file.tensors["output_norm.weight"]
    with pytest.raises(SourceError, match="is not part of the qwen2moe family"):
        graph_request(file)


def test_experts_of_another_family_are_refused(tmp_path):
    file = open_gguf(
        write_tiny_llama(tmp_path / "d.gguf", architecture="qwen2", metadata={"qwen2.expert_count": (4, U32)})
    )
    with pytest.raises(SourceError, match="mixtures of experts of the qwen2 family are not supported"):
        graph_request(file)


def test_llama_without_experts_is_dense_and_with_them_a_mixtral(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "l.gguf", ffn=96))
    assert mixture(file) is None
    file.metadata["llama.expert_count"], file.metadata["llama.expert_used_count"] = 4, 2
    assert mixture(file).width == 96
    assert mixture(file).router == Router("softmax", 2, renormalized=True)


def test_other_number_of_experts_per_token_is_not_comparable(file, tmp_path):
    other = open_gguf(write_tiny_mixture(tmp_path / "o.gguf", metadata={"expert_used_count": (3, U32)}))
    with pytest.raises(SourceError, match="mixture's experts per token is 3, the baseline's is 2"):
        check_comparable(other, comparable_traits(file))
