"""Files whose tensors are not those of their description end in one line that names the tensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_families import FAMILIES, write

from evaluator.export.composing.fit import fitting_shapes
from evaluator.models.architectures import described
from evaluator.models.gguf.reader import open_gguf
from evaluator.support.errors import SourceError

OPTIONS = {key: (name, options) for key, name, options in FAMILIES}
#: Between them they have all mixers.
KEYS = [
    "cohere2",
    "glm4",
    "glm4moe",
    "gpt-oss",
    "llama4",
    "mimo2",
    "step35",
    "deepseek2",
    "qwen35moe",
    "lfm2",
]
KEYS += [
    "gemma3n-shared",
    "gemma4-mixture",
    "qwen3next",
    "nemotron_h_moe-latent",
    "falcon-h1",
    "phi3-partial",
]


def opened(tmp_path, key):
    name, options = OPTIONS[key]
    file = open_gguf(write(name, tmp_path / "m.gguf", **options))
    decoder = described(file)
    assert fitting_shapes(file, decoder)
    return file, decoder


def one_more(shape, axis):
    return tuple(size + (place == axis) for place, size in enumerate(shape))


@pytest.mark.parametrize("key", KEYS)
def test_a_matrix_or_vector_of_another_shape(tmp_path, key):
    file, decoder = opened(tmp_path, key)
    for tensor, info in list(file.tensors.items()):
        if "conv" in tensor or not tensor.startswith(("blk.0.", "blk.1.", "output")):
            continue  # a kernel may have any length
        for axis in range(len(info.shape)):
            file.tensors[tensor] = replace(info, shape=one_more(info.shape, axis))
            with pytest.raises(SourceError, match=tensor.replace(".", r"\.")):
                fitting_shapes(file, decoder)
        file.tensors[tensor] = info


@pytest.mark.parametrize("key", KEYS)
def test_a_tensor_that_is_not_there_or_has_further_axes(tmp_path, key):
    file, decoder = opened(tmp_path, key)
    for tensor, info in list(file.tensors.items()):
        if not tensor.startswith("blk.1.") or "norm" in tensor or not tensor.endswith(".weight"):
            continue
        file.tensors[tensor] = replace(info, shape=(*info.shape, 2))
        with pytest.raises(SourceError, match=tensor.replace(".", r"\.")):
            fitting_shapes(file, decoder)
        del file.tensors[tensor]
        if not (key.startswith("gemma") and "attn_v" in tensor):  # their keys may be values too
            with pytest.raises(SourceError, match=r"tensor blk\.1\.\S+ "):
                fitting_shapes(file, decoder)
        file.tensors[tensor] = info


def test_rows_of_embedding_and_head_differ(tmp_path):
    file, decoder = opened(tmp_path, "glm4")
    head = file.tensors["output.weight"]
    file.tensors["output.weight"] = replace(head, shape=one_more(head.shape, 0))
    with pytest.raises(
        SourceError, match=r"output\.weight is \(513, 64\), but token_embd\.weight \(512, 64\)"
    ):
        fitting_shapes(file, decoder)


def test_the_message_names_both_of_two_matrices(tmp_path):
    file, decoder = opened(tmp_path, "step35")
    up = file.tensors["blk.0.ffn_up.weight"]
    file.tensors[up.name] = replace(up, shape=(112, 64))
    told = r"blk\.0\.ffn_up\.weight is \(112, 64\), which does not fit blk\.0\.ffn_gate\.weight of shape \(96, 64\)"
    with pytest.raises(SourceError, match=told):
        fitting_shapes(file, decoder)


def test_a_mixture_with_another_number_of_experts(tmp_path):
    file, decoder = opened(tmp_path, "glm4moe")
    up = file.tensors["blk.1.ffn_up_exps.weight"]
    file.tensors[up.name] = replace(up, shape=(9, *up.shape[1:]))
    with pytest.raises(
        SourceError, match=r"ffn_up_exps\.weight is \(9, 32, 64\), the metadata say 8 experts"
    ):
        fitting_shapes(file, decoder)


@pytest.mark.parametrize("key", ["qwen3moe", "lfm2", "glm4moe-ahead"])
def test_fewer_layers_than_the_file_has(tmp_path, key):
    file, _ = opened(tmp_path, key)
    file.metadata[f"{file.architecture}.block_count"] = 2
    with pytest.raises(SourceError, match=r"blk\.\d\.\S+ is not part of the \S+ family with \d layers?$"):
        fitting_shapes(file, described(file))


def test_a_layer_does_not_predict_further_tokens_because_a_number_says_so(tmp_path):
    file, _ = opened(tmp_path, "qwen3moe")
    file.metadata["qwen3moe.nextn_predict_layers"] = 1
    with pytest.raises(SourceError, match="is not part of"):
        fitting_shapes(file, described(file))


@pytest.mark.parametrize(
    ("key", "setting"),
    [
        ("gemma4", "attention.key_length"),
        ("gemma3n", "altup.num_inputs"),
        ("gemma3n", "attention.head_count_kv"),
        ("deepseek3", "attention.value_length_mla"),
        ("qwen35moe", "ssm.state_size"),
    ],
)
@pytest.mark.parametrize("value", [2**31 - 1, 2**63 - 1])
def test_absurd_sizes_take_no_memory(tmp_path, key, setting, value):
    file, _ = opened(tmp_path, key)
    file.metadata[f"{file.architecture}.{setting}"] = value
    with pytest.raises(SourceError, match=r"m\.gguf: [^\n]+$"):
        fitting_shapes(file, described(file))


@pytest.mark.parametrize(
    ("key", "setting"),
    [
        ("apertus", "xielu.beta"),
        ("mistral3", "mistral3.rope.scaling.type"),
        ("qwen3moe", "qwen3moe.expert_count"),
    ],
)
@pytest.mark.parametrize("value", [[True, None, "x"], np.array([0, 0]), np.array([[0.5], [0.5], [0.5]]), 7])
def test_settings_of_another_kind(tmp_path, key, setting, value):
    file, _ = opened(tmp_path, key)
    file.metadata[setting] = value
    with pytest.raises(SourceError, match=f"{setting}|ffn_gate_inp"):
        fitting_shapes(file, described(file))


def test_norms_of_heads_that_are_not_there(tmp_path):
    file, decoder = opened(tmp_path, "qwen3moe")
    del file.tensors["blk.0.attn_q_norm.weight"]
    with pytest.raises(SourceError, match=r"tensor blk\.0\.attn_q_norm\.weight is missing"):
        fitting_shapes(file, decoder)
