"""What a file says about its experts, and the files that are rejected."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from tiny_mixtures import EXPERTS, HIDDEN, LAYERS, WIDTH, write_tiny_mixture
from tiny_models import write_tiny_llama

from evaluator.export.exact.graph import graph_request, load_graph
from evaluator.models.architectures import described
from evaluator.models.architectures.mixture import Router
from evaluator.models.gguf.reader import open_gguf
from evaluator.planning.comparable import check_comparable, comparable_traits
from evaluator.support.errors import SourceError

U32 = gguf.GGUFValueType.UINT32


@pytest.fixture
def file(tmp_path):
    return open_gguf(write_tiny_mixture(tmp_path / "m.gguf"))


def experts(file):
    return described(file).experts


def test_experts_are_read(file):
    found = experts(file)
    assert (found.count, found.width) == (EXPERTS, WIDTH)
    assert found.router == Router("softmax", 2, renormalized=False)
    shapes = load_graph(file).shapes
    assert shapes["blk.1.ffn_up_exps.weight"] == (EXPERTS, WIDTH, HIDDEN)
    assert len(described(file).layers) == LAYERS


def test_width_of_experts_follows_from_the_dense_width_if_it_is_not_given(file):
    del file.metadata["qwen2moe.expert_feed_forward_length"]
    assert experts(file).width == 112 // 2


NEUTRAL = [
    ("swiglu_clamp_exp", None, np.array([0.0, 7.0])),
    ("expert_group_scale", None, 0.05),
    ("moe_latent_size", None, 16),
    ("expert_of_next_year", None, 0),
    ("logit_scale", 1.0, 0.5),
]


@pytest.mark.parametrize(("key", "neutral", "other"), NEUTRAL)
def test_setting_that_nothing_reads_is_refused(file, key, neutral, other):
    before = described(file)
    if neutral is not None:
        file.metadata[f"qwen2moe.{key}"] = neutral
        assert described(file) == before
    file.metadata[f"qwen2moe.{key}"] = other
    with pytest.raises(SourceError, match=f"qwen2moe.{key}"):
        described(file)


@pytest.mark.parametrize(
    ("key", "value"),
    [("expert_gating_func", 2), ("expert_weights_norm", True), ("expert_weights_scale", 2.5)],
)
def test_router_is_the_file_s_if_it_describes_one(file, key, value):
    before = experts(file).router
    file.metadata[f"qwen2moe.{key}"] = value
    assert experts(file).router != before


@pytest.mark.parametrize(("groups", "used"), [(4, 1), (2, 3)])
def test_groups_of_experts_are_plausible(file, groups, used):
    file.metadata["qwen2moe.expert_group_count"] = groups
    file.metadata["qwen2moe.expert_group_used_count"] = used
    with pytest.raises(SourceError, match="of 6 experts in"):
        described(file)


@pytest.mark.parametrize("value", [0, -1, True, 7])
def test_number_of_experts_per_token_is_plausible(file, value):
    file.metadata["qwen2moe.expert_used_count"] = value
    with pytest.raises(SourceError):
        described(file)


@pytest.mark.parametrize(
    "name",
    ["ffn_gate_inp.weight", "ffn_up_exps.weight", "ffn_down_shexp.weight", "ffn_gate_inp_shexp.weight"],
)
def test_missing_tensor_is_named(file, name):
    del file.tensors[f"blk.1.{name}"]
    with pytest.raises(SourceError, match=rf"tensor blk\.1\.{name} is missing"):
        load_graph(file)


@pytest.mark.parametrize(
    "name",
    [
        "ffn_up.weight",
        "ffn_gate.0.weight",
    ],
)
def test_tensor_that_would_be_left_out_is_refused(file, name):
    file.tensors[f"blk.0.{name}"] = file.tensors["output_norm.weight"]
    with pytest.raises(SourceError, match="is not part of the qwen2moe family"):
        load_graph(file)


def test_experts_of_another_family_are_refused(tmp_path):
    file = open_gguf(
        write_tiny_llama(tmp_path / "d.gguf", architecture="qwen2", metadata={"qwen2.expert_count": (4, U32)})
    )
    with pytest.raises(SourceError, match="mixtures of experts of the qwen2 family are not supported"):
        graph_request(file)


def test_llama_without_experts_is_exported_and_with_them_a_mixtral(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "l.gguf", ffn=96))
    assert described(file) is None
    file.metadata["llama.expert_count"], file.metadata["llama.expert_used_count"] = 4, 2
    assert experts(file).width == 96
    assert experts(file).router == Router("softmax", 2, renormalized=True)


def test_other_number_of_experts_per_token_is_not_comparable(file, tmp_path):
    other = open_gguf(write_tiny_mixture(tmp_path / "o.gguf", metadata={"expert_used_count": (3, U32)}))
    with pytest.raises(
        SourceError, match="layer 0's feed forward experts's router's used is 3, the baseline's is 2"
    ):
        check_comparable(other, comparable_traits(file))
