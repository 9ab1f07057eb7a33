"""Checkpoints with GGUF's interface, against transformers, the converter's formulas and published files."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from passes import hidden_of
from tiny_checkpoints import edit_json, random_model, save_checkpoint

from evaluator.export.exact.graph import graph_request, load_graph
from evaluator.export.exact.weights import head_weights
from evaluator.models.architectures import architecture_of, restored, tensor_names
from evaluator.models.architectures.rotary import rotary_frequencies
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.gguf.writer import write_gguf
from evaluator.models.naming import model_name, quant_label
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_source, sha256_of_all
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf, vocabulary_digest
from evaluator.runtime.device import choose_device
from evaluator.support.errors import SourceError
from evaluator.texts.windows import Window

gguf = pytest.importorskip("gguf")

#: Real model files, if they lie beside the checkout.
PUBLISHED = Path(__file__).parents[6] / "shared" / "data" / "tinystories-656k"
TEXT = "The other day, in the north, 12 of them ran over<|endoftext|> the wall."

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
FAMILIES = {
    "llama": {"tie_word_embeddings": True},
    "mistral": {"sliding_window": None},
    "qwen2": {},
    "qwen3": {"head_dim": 128},
    "smollm3": {"num_hidden_layers": 4, "no_rope_layers": None},
    "phi3": {"pad_token_id": 0},
    "gemma": {},
    "gemma2": {"sliding_window": 16, "query_pre_attn_scalar": 64},
    "gemma3_text": {"num_hidden_layers": 6, "sliding_window": 16, "query_pre_attn_scalar": 64},
}


@pytest.fixture(scope="module")
def llama():
    return random_model("llama", tie_word_embeddings=True)


@pytest.fixture(scope="module")
def saved(llama, tmp_path_factory):
    return save_checkpoint(llama, tmp_path_factory.mktemp("models") / "Tiny-Llama")


@pytest.fixture
def folder(saved, tmp_path):
    """Return a copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "Tiny-Llama"))


def test_logits_are_those_of_transformers_in_the_graph_of_the_gguf_model(llama, saved, tiny_graph):
    file = open_model(saved)
    assert load_graph(file) == tiny_graph  # the same shape, so the same graph
    window = Window(0, "d", np.random.default_rng(1).integers(0, 262, 32).astype(np.int32), 16)
    hidden = hidden_of(file, load_graph(file), choose_device("cpu", 1), window)
    with torch.no_grad():
        expected = llama(torch.from_numpy(window.ids.astype(np.int64))[None]).logits[0, 16:31].numpy()
    np.testing.assert_allclose(hidden @ head_weights(file).T, expected, atol=2e-4)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_every_parameter_comes_back_and_the_configuration_is_understood(model_type, tmp_path):
    model = random_model(model_type, **FAMILIES[model_type])
    file = open_model(save_checkpoint(model, tmp_path))
    architecture = architecture_of(file)
    parameters = dict(model.named_parameters())
    for name, tensor in tensor_names(architecture, model.config.num_hidden_layers).items():
        if name in parameters:
            offset = architecture.norm_offset if tensor.endswith("norm.weight") else 0
            expected = parameters[name].detach().numpy() + np.float32(offset)
            np.testing.assert_array_equal(restored(architecture, file, tensor), expected, err_msg=name)
    np.testing.assert_array_equal(
        file.dequantize("token_embd.weight"), parameters["model.embed_tokens.weight"].detach()
    )
    assert ("output.weight" in file.tensors) == ("lm_head.weight" in parameters)
    for key, value in graph_request(file)["settings"].items():
        assert getattr(model.config, key, value) == pytest.approx(value), key
    expected = model.model.rotary_emb.inv_freq.numpy()
    np.testing.assert_allclose(rotary_frequencies(file), expected, rtol=1e-5)


def test_query_and_key_rows_are_interleaved_as_the_converter_does(llama, saved):
    file = open_model(saved)
    for letter, heads in (("q", 4), ("k", 2)):
        weight = getattr(llama.model.layers[1].self_attn, f"{letter}_proj").weight.detach().numpy()
        expected = weight.reshape(heads, 2, 32, 256).swapaxes(1, 2).reshape(weight.shape)
        np.testing.assert_array_equal(file.dequantize(f"blk.1.attn_{letter}.weight"), expected)


def test_metadata_are_those_of_the_tiny_gguf_model(saved, tiny):
    file = open_model(saved)
    assert graph_request(file) == graph_request(tiny)
    assert vocabulary_digest(file) == vocabulary_digest(tiny)
    for key in tiny.metadata.keys() & file.metadata.keys():
        np.testing.assert_array_equal(file.metadata[key], tiny.metadata[key], err_msg=key)
        assert file.value_types[key] == tiny.value_types[key], key
    ids = [tokenizer_from_gguf(item).encode(TEXT).tolist() for item in (file, tiny)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(("dtype", "bits"), [(torch.bfloat16, 16), (torch.float16, 16), (torch.float32, 32)])
def test_values_and_sizes_of_each_type(llama, tmp_path, dtype, bits):
    model = random_model("llama", tie_word_embeddings=True).to(dtype)
    file = open_model(save_checkpoint(model, tmp_path / "m"))
    expected = model.model.layers[0].mlp.up_proj.weight.detach().float().numpy()
    np.testing.assert_array_equal(file.dequantize("blk.0.ffn_up.weight"), expected)
    assert (file.bits_per_weight, file.n_params) == (bits, sum(p.numel() for p in llama.parameters()))
    assert quant_label(file) == {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}[dtype]
    assert file.size_bytes == sum(path.stat().st_size for path in file.files)


def test_sharded_weights_are_one_model(llama, saved, tmp_path):
    whole, parts = open_model(saved), open_model(save_checkpoint(llama, tmp_path / "m", max_shard_size="2MB"))
    assert len([path for path in parts.files if path.suffix == ".safetensors"]) > 1
    assert parts.tensors.keys() == whole.tensors.keys()
    for name in whole.tensors:
        assert parts.raw(name).tobytes() == whole.raw(name).tobytes()


def test_names_and_digest(saved, folder):
    file = open_model(saved)
    assert resolve_source(str(saved)) == [saved]
    assert (model_name(file), file.name) == ("Tiny-Llama", "Tiny-Llama")
    before = sha256_of_all(open_model(folder).files)
    assert before == sha256_of_all(file.files)
    edit_json(folder / "config.json", rope_theta=20000.0)
    assert sha256_of_all(open_model(folder).files) != before


def test_folder_of_the_hubs_cache_is_named_after_its_repository(saved, tmp_path):
    snapshot = tmp_path / "models--someone--Small-Model-1B" / "snapshots" / "0a1b2c"
    shutil.copytree(saved, snapshot)
    assert model_name(open_model(snapshot)) == "Small-Model-1B"


def test_gguf_written_from_a_checkpoint_holds_the_same_model(saved, tmp_path):
    file = open_model(saved)
    types = {name: info.ggml_type for name, info in file.tensors.items()}
    write_gguf(file, tmp_path / "m.gguf", gguf.LlamaFileType.ALL_F32, types, file.raw)
    written = open_gguf(tmp_path / "m.gguf")
    assert graph_request(written) == graph_request(file)
    assert vocabulary_digest(written) == vocabulary_digest(file)
    for name in file.tensors:
        np.testing.assert_array_equal(written.dequantize(name), file.dequantize(name))


def test_llama3_scaling_becomes_factors(tmp_path):
    scaling = LLAMA3 | {"original_max_position_embeddings": 64}
    model = random_model("llama", rope_scaling=scaling)
    file = open_model(save_checkpoint(model, tmp_path))
    factors = file.dequantize("rope_freqs.weight")
    assert (factors[0], factors[-1]) == (1, 8)
    assert len(np.unique(factors)) > 2  # some frequencies lie between the two
    np.testing.assert_allclose(rotary_frequencies(file), model.model.rotary_emb.inv_freq.numpy(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "yarn"])
def test_scaled_frequencies_are_those_of_transformers(tmp_path, kind):
    scaling = {"rope_type": kind, "factor": 4.0, "original_max_position_embeddings": 32}
    model = random_model("qwen2", rope_scaling=scaling)
    file = open_model(save_checkpoint(model, tmp_path))
    np.testing.assert_allclose(rotary_frequencies(file), model.model.rotary_emb.inv_freq.numpy(), rtol=1e-5)


def test_longrope_factors_become_tensors(tmp_path):
    short, long = np.linspace(1, 1.5, 32).tolist(), np.linspace(1, 9, 32).tolist()
    scaling = {"type": "longrope", "short_factor": short, "long_factor": long}
    changes = {
        "rope_scaling": scaling,
        "original_max_position_embeddings": 64,
        "pad_token_id": 0,
    }
    file = open_model(save_checkpoint(random_model("phi3", **changes), tmp_path))
    np.testing.assert_allclose(file.dequantize("rope_factors_short.weight"), short)
    np.testing.assert_allclose(file.dequantize("rope_factors_long.weight"), long)
    assert file.metadata["phi3.rope.scaling.attn_factor"] == pytest.approx(
        np.sqrt(1 + np.log(2) / np.log(64))
    )


def replace_by_pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


BROKEN = {
    "no config": (lambda f: (f / "config.json").unlink(), "cannot be read"),
    "config cut": (lambda f: (f / "config.json").write_text("{"), "not JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "JSON object"),
    "family": (
        lambda f: edit_json(f / "config.json", model_type="mamba9"),
        "'mamba9' is not supported; known: ",
    ),
    "activation": (lambda f: edit_json(f / "config.json", hidden_act="relu"), "hidden_act is 'relu'"),
    "quantized": (
        lambda f: edit_json(f / "config.json", quantization_config={"bits": 4}),
        "quant_method is None, which is not read",
    ),
    "layers": (
        lambda f: edit_json(f / "config.json", num_hidden_layers=1),
        r"layers\.1.* is not in the llama model",
    ),
    "heads": (lambda f: edit_json(f / "config.json", num_attention_heads="4"), "num_attention_heads is '4'"),
    "scaling": (lambda f: edit_json(f / "config.json", rope_scaling={"rope_type": "spiral"}), "'spiral'"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "holds neither model.safetensors"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json: cannot be read"),
    "tokenizer kind": (lambda f: edit_json(f / "tokenizer.json", model={"type": "Unigram"}), "'Unigram'"),
    "vocabulary": (lambda f: edit_json(f / "tokenizer.json", added_tokens=[7]), "an added token"),
    "added tokens": (
        lambda f: edit_json(f / "tokenizer.json", added_tokens=7),
        "added_tokens is 7, not a list",
    ),
    "processors": (
        lambda f: edit_json(f / "tokenizer.json", post_processor={"type": "Sequence", "processors": 5}),
        "processors is 5, not a list",
    ),
    "family a list": (
        lambda f: edit_json(f / "config.json", model_type=["llama"]),
        "is not supported; known: ",
    ),
    "beyond float32": (lambda f: edit_json(f / "config.json", rope_theta=1e300), "rope_theta is 1e.300"),
    "nothing in float32": (
        lambda f: edit_json(f / "config.json", rms_norm_eps=1e-300),
        "rms_norm_eps is 1e-300",
    ),
    "a pipe": (lambda f: replace_by_pipe(f / "tokenizer_config.json"), "is not a file"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_checkpoint_is_one_line(folder, what):
    damage, message = BROKEN[what]
    damage(folder)
    with pytest.raises(SourceError, match=message) as caught:
        open_model(folder)
    assert "\n" not in str(caught.value)


def test_setting_that_gguf_cannot_express_is_refused(tmp_path):
    model = random_model("smollm3", num_hidden_layers=4, no_rope_layers=[1, 0, 1, 0])
    with pytest.raises(
        SourceError, match=r"no_rope_layers is \[1, 0, 1, 0\]; a smollm3 GGUF file means \[1, 1, 1, 0\]"
    ):
        open_model(save_checkpoint(model, tmp_path))


def test_missing_and_foreign_parts_are_named(llama, tmp_path):
    folder = save_checkpoint(llama, tmp_path / "m", max_shard_size="2MB")
    missing = sorted(folder.glob("model-*.safetensors"))[1]
    missing.unlink()
    with pytest.raises(SourceError, match=f"{missing.name} is missing"):
        open_model(folder)
    index = folder / "model.safetensors.index.json"
    for name in ("../../secret", "..", "/etc/passwd", "", "x" * 5000):
        index.write_text(json.dumps({"weight_map": {"model.norm.weight": name}}))
        with pytest.raises(SourceError, match=r"not a plain file name|is missing, which"):
            open_model(folder)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published model is not here")
def test_published_checkpoint_and_its_published_gguf_agree():
    checkpoint, published = open_model(PUBLISHED), open_gguf(PUBLISHED / "TinyStories-656K-Q8_0.gguf")
    assert graph_request(checkpoint) == graph_request(published)
    assert vocabulary_digest(checkpoint) == vocabulary_digest(published)
    np.testing.assert_array_equal(
        checkpoint.metadata["tokenizer.ggml.token_type"], published.metadata["tokenizer.ggml.token_type"]
    )
    assert checkpoint.tensors.keys() == published.tensors.keys()
    for name in published.tensors:
        exact, rounded = checkpoint.dequantize(name), published.dequantize(name)
        if published.tensors[name].ggml_type == gguf.GGMLQuantizationType.F32:
            np.testing.assert_array_equal(exact, rounded)
            continue
        step = np.abs(exact.reshape(-1, 32)).max(axis=1, keepdims=True) / 127
        bound = step * (0.5 + 127 * 2**-11)  # half a step, and the scale's own rounding to float16
        assert (np.abs(exact - rounded).reshape(-1, 32) <= bound).all(), name
