"""Whole graphs of described models against the pass that runs their pieces one by one."""

from __future__ import annotations

import gguf
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import random_families
from passes import hidden_of

from evaluator.engines.engine_gap import engine_gap
from evaluator.export.exact.artifact import write_exact
from evaluator.export.exact.graph import load_graph
from evaluator.export.exact.weights import head_weights
from evaluator.export.folder import GENAI_FILE, MODEL_FILE
from evaluator.export.packing import graph
from evaluator.export.packing.artifact import export_packed, most_bytes, write_decoder
from evaluator.export.packing.nodes import EXACT_PRODUCTS
from evaluator.models.architectures import logit_softcap
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.decoding import Decoder
from evaluator.runtime.device import choose_device
from evaluator.texts.windows import Window

CPU = choose_device("cpu", 1)
IDS = np.random.default_rng(1).integers(1, random_families.VOCABULARY, 80).astype(np.int32)
PROMPT = 70
CASES = {name: (family, options) for name, family, options in random_families.FAMILIES}
#: One case of every kind of layer.
KINDS = {
    "granite": "scaled stream and logits",
    "glm4": "neighbouring dimensions, some of them rotated, norms behind parts",
    "olmo3": "windows and two sets of frequencies",
    "cohere2": "parts side by side, layers without rotation",
    "mistral3": "queries that grow with the position",
    "apertus": "a special activation",
    "qwen3moe": "a mixture",
    "gpt-oss": "sinks, biases of experts, softmax of the chosen",
    "bailingmoe2": "groups, a bias of the choice, a shared expert",
    "llama4": "weights on the experts' inputs, rotation before the norm",
    "mimo2": "narrow values",
    "deepseek2": "latent attention",
    "qwen35": "delta rule, gated attention",
    "lfm2": "short convolutions",
    "falcon-h1": "attention and a state space layer side by side",
    "nemotron_h": "layers of one part",
}


def written(folder, name, **options):
    family, given = CASES[name]
    return open_gguf(random_families.write(family, folder / f"{name}.gguf", **given, **options))


def layered(file, ids=IDS):
    """Logits behind every token, float32 [tokens, vocabulary]."""
    hidden = hidden_of(file, load_graph(file), CPU, Window(0, "d", np.append(ids, 1).astype(np.int32), 0))
    logits = hidden @ head_weights(file).T
    cap = logit_softcap(file)
    return cap * np.tanh(logits / cap) if cap else logits


def decoded(folder):
    """Logits behind a prompt and behind every token after it, by a decoder that held another text before."""
    decoder = Decoder(folder / MODEL_FILE, CPU, len(IDS))
    decoder.step(IDS[:5])
    decoder.forget()
    steps = [IDS[:PROMPT], *IDS[PROMPT:, None]]
    return np.stack([decoder.step(ids).copy() for ids in steps])


@pytest.mark.parametrize("name", KINDS)
def test_a_prompt_and_single_tokens_give_the_logits_of_the_layered_pass(name, tmp_path):
    file = written(tmp_path, name)
    write_decoder(file, load_graph(file), tmp_path / "out", accuracy_level=EXACT_PRODUCTS)
    np.testing.assert_allclose(decoded(tmp_path / "out"), layered(file)[PROMPT - 1 :], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["mistral3", "bailingmoe2", "qwen35"])
def test_exact_weights_give_the_logits_of_every_window(name, tmp_path):
    file = written(tmp_path, name)
    assert write_exact(file, load_graph(file), tmp_path / "out") > 0
    session = ort.InferenceSession(str(tmp_path / "out" / MODEL_FILE), providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_inputs()] == ["input_ids"]
    both = np.stack([IDS, IDS[::-1]])
    (logits,) = session.run(None, {"input_ids": both.astype(np.int64)})
    for found, ids in zip(logits, both, strict=True):
        np.testing.assert_allclose(found, layered(file, ids), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0", "F16", "BF16"])
@pytest.mark.parametrize("name", ["gpt-oss", "lfm2moe"])
def test_packed_experts_are_what_the_receipt_says(kind, name, tmp_path):
    file = written(tmp_path, name, ggml_type=gguf.GGMLQuantizationType[kind])
    loaded = load_graph(file)
    receipt = export_packed(file, loaded, tmp_path / "receipt")
    entries = {entry.tensor: entry for entry in receipt.tensors}
    for role in ("gate", "up", "down"):
        entry = entries[f"blk.2.ffn_{role}_exps.weight"]
        assert entry.quant_type == kind
        assert entry.fidelity == "exact" or (kind == "Q4_1" and entry.fidelity == "rounded")
        assert entry.file_bytes <= entry.artifact_bytes < 1.3 * entry.file_bytes
    assert receipt.artifact_bytes <= most_bytes(file)
    write_decoder(file, loaded, tmp_path / "out", accuracy_level=EXACT_PRODUCTS)
    np.testing.assert_allclose(decoded(tmp_path / "out"), layered(file)[PROMPT - 1 :], rtol=0, atol=1e-3)


def test_a_scale_of_a_matrix_is_part_of_its_packed_values(tmp_path):
    scaled = written(tmp_path, "qwen3moe", ggml_type=gguf.GGMLQuantizationType.Q8_0)
    names = ("blk.0.ffn_up_exps", "blk.1.attn_output")
    counts = {name: scaled.tensor(f"{name}.weight").shape[:-2] or (1,) for name in names}
    values = {
        f"{name}.scale": np.linspace(0.5, 1.5, *count, dtype=np.float32) for name, count in counts.items()
    }
    recipe = random_families.recipe("qwen3moe")
    recipe.values |= values
    kind = gguf.GGMLQuantizationType.Q8_0
    file = open_gguf(random_families.write_recipe(recipe, tmp_path / "scaled.gguf", 0, kind))
    write_decoder(file, load_graph(file), tmp_path / "out", accuracy_level=EXACT_PRODUCTS)
    expected = layered(file)
    assert np.abs(expected - layered(scaled)).max() > 0.1
    np.testing.assert_allclose(decoded(tmp_path / "out"), expected[PROMPT - 1 :], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["qwen3moe", "lfm2", "deepseek2"])
def test_the_engine_gap_is_nothing_without_fast_products(name, tmp_path):
    file = written(tmp_path, name, ggml_type=gguf.GGMLQuantizationType.Q8_0)
    loaded = load_graph(file)
    write_decoder(file, loaded, tmp_path / "out", accuracy_level=EXACT_PRODUCTS)
    gap = engine_gap(file, loaded, tmp_path / "out" / MODEL_FILE, [Window(0, "d", IDS, 40)], CPU)
    assert abs(gap) < 1e-6


@pytest.mark.parametrize("name", ["gpt-oss", "lfm2", "deepseek2", "mistral3"])
def test_half_precision_gives_nearly_the_same_logits(name, tmp_path):
    file = written(tmp_path, name)
    write_decoder(file, load_graph(file), tmp_path / "out", half=True)
    difference = np.abs(decoded(tmp_path / "out") - layered(file)[PROMPT - 1 :])
    assert 1e-4 < np.median(difference) < 0.01


def test_experts_in_one_node_are_those_in_branches(monkeypatch, tmp_path):
    """With 8 bits, the node rounds activations whatever accuracy is asked for, as branches do at this level.

    The two sum in another order, so that now and then an activation is rounded the other way. How often depends on
    the processor; what rounding as such costs is more, everywhere.
    """
    for name, kind in (("gpt-oss", "Q8_0"), ("bailingmoe2", "Q4_0")):
        file = written(tmp_path, name, ggml_type=gguf.GGMLQuantizationType[kind])
        found = {}
        for one_node in (True, False):
            with monkeypatch.context() as patched:
                if not one_node:
                    patched.setattr(graph, "can_be_one_node", lambda *_: False)
                folder = tmp_path / f"{name}-{one_node}"
                write_decoder(file, load_graph(file), folder)
            operators = {node.op_type for node in onnx.load(str(folder / MODEL_FILE)).graph.node}
            assert ("QMoE" in operators) == one_node
            found[one_node] = decoded(folder)
        apart = np.abs(found[True] - found[False])
        rounding = np.abs(found[False] - layered(file)[PROMPT - 1 :])
        assert np.median(apart) < 1e-3 * np.median(rounding)
        assert apart.max() < 0.1 * rounding.max()


@pytest.mark.parametrize("name", ["llama4", "nemotron_h_moe", "step35"])
def test_experts_that_the_node_does_not_compute_are_branches(name, tmp_path):
    """Weights on inputs; no gate; bounds behind the activation in some layers."""
    file = written(tmp_path, name, ggml_type=gguf.GGMLQuantizationType.Q8_0)
    write_decoder(file, load_graph(file), tmp_path / "out")
    operators = {node.op_type for node in onnx.load(str(tmp_path / "out" / MODEL_FILE)).graph.node}
    assert "If" in operators
    assert ("QMoE" in operators) == (name == "step35")


def test_experts_are_branches_that_hold_their_own_weights(tmp_path):
    file = written(tmp_path, "qwen3moe")
    write_decoder(file, load_graph(file), tmp_path / "out")
    written_graph = onnx.load(str(tmp_path / "out" / MODEL_FILE), load_external_data=False).graph
    layers = [node for node in written_graph.node if node.op_type == "If"]
    assert len(layers) == len(load_graph(file).decoder.layers)
    assert not [item.name for item in written_graph.initializer if "_exps" in item.name]
    inner = next(item.g for item in layers[0].attribute if item.name == "then_branch")
    assert sum(node.op_type == "If" for node in inner.node) == load_graph(file).decoder.experts.count


def test_tensors_that_no_product_reads_as_they_are_stand_in_the_receipt(tmp_path):
    file = written(tmp_path, "deepseek2", ggml_type=gguf.GGMLQuantizationType.Q8_0)
    receipt = export_packed(file, load_graph(file), tmp_path / "out")
    entries = {entry.tensor: entry for entry in receipt.tensors}
    entry = entries["blk.0.attn_k_b.weight"]
    assert (entry.form, entry.fidelity) == ("float32", "exact")
    assert entry.why.startswith("dequantized")


@pytest.mark.parametrize(("name", "has"), [("granite", True), ("qwen3moe", True), ("lfm2", False)])
def test_only_models_with_the_same_attention_in_all_layers_have_a_genai_configuration(name, has, tmp_path):
    file = written(tmp_path, name)
    export_packed(file, load_graph(file), tmp_path / "out")
    assert (tmp_path / "out" / GENAI_FILE).is_file() == has
