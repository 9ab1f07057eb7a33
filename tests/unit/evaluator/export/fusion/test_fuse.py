"""The fused graph of tiny models against the plain one, against numpy, and against itself token by token."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from family_files import write_family
from family_models import FAMILIES
from filled_graphs import filled
from numpy_llama import final_hidden
from onnx import TensorProto, helper
from passes import hidden_of
from tiny_models import write_tiny_llama

from evaluator.export.exact.graph import load_graph
from evaluator.export.exact.weights import exact_weights, rotary_inputs
from evaluator.export.fusion import check
from evaluator.export.fusion.dataflow import replace_nodes
from evaluator.export.fusion.fuse import fuse, simplify
from evaluator.export.fusion.stored import load_fusion
from evaluator.export.fusion.uses import fused_body, load_fused, load_plain, score_late, with_cache
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.device import choose_device
from evaluator.support.errors import ExportError
from evaluator.texts.windows import Window

pytestmark = pytest.mark.usefixtures("exporting_here")

CPU = choose_device("cpu", 2)
IDS = np.random.default_rng(5).integers(0, 256, 24).astype(np.int32)
WINDOW = Window(0, "d", IDS, 12)


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory):
    """Biases on query, key and value, and a random norm gain everywhere."""
    return open_gguf(write_tiny_llama(tmp_path_factory.mktemp("q") / "q.gguf", architecture="qwen2"))


@pytest.fixture(params=["tiny", "qwen2"])
def file(request):
    return request.getfixturevalue(request.param)


def session(file, graph, model):
    return filled(model, CPU, {slot.initializer: values for slot, values in exact_weights(file, graph)})


def test_every_layer_is_fused_and_little_else_is_left(file):
    graph = load_graph(file)
    kinds = [node.op_type for node in load_fused(graph.fused).graph.node]
    assert graph.plain_reason is None
    assert kinds.count("GroupQueryAttention") == 2
    assert kinds.count("SimplifiedLayerNormalization") == 1
    assert kinds.count("SkipSimplifiedLayerNormalization") == 4
    assert "Softmax" not in kinds
    assert "Pow" not in kinds


def test_fused_body_equals_the_plain_one(file):
    graph = load_graph(file)
    fused = hidden_of(file, graph, CPU, WINDOW)
    plain = hidden_of(file, graph, CPU, WINDOW, fused=False)
    assert fused.shape == (11, 256)
    np.testing.assert_allclose(fused, plain, atol=1e-5)


def test_frequency_factors_reach_the_tables(tiny_graph, tmp_path):
    factors = np.linspace(1, 8, 32)
    file = open_gguf(write_tiny_llama(tmp_path / "m.gguf", frequency_factors=factors.tolist()))
    found = hidden_of(file, tiny_graph, CPU, WINDOW)
    expected = final_hidden(file.dequantize, IDS, factors=factors)[12:23]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_scoring_late_changes_nothing(file):
    graph = load_graph(file)
    positions = {"scored_positions": np.array([3, 17, 20])}
    inputs = {"input_ids": IDS[None].astype(np.int64)} | positions | rotary_inputs(file, graph, 24)
    whole = session(file, graph, load_fused(graph.fused)).run(inputs)[0]
    body = fused_body(graph.fused)
    score_late(body)
    late = session(file, graph, body.model).run(inputs)[0]
    assert "Gather" not in body.model.graph.node[-1].op_type
    np.testing.assert_allclose(late, whole, atol=1e-6)


def decode(run, heads, chunks):
    """Feed `chunks` of ids one after the other; the hidden states of all of them, [ids, hidden]."""
    past = {
        f"past_key_values.{layer}.{kind}": np.zeros((1, head.kv_heads, 0, head.width), np.float32)
        for layer, head in enumerate(heads)
        for kind in ("key", "value")
    }
    done, rows = 0, []
    for ids in chunks:
        done += len(ids)
        hidden, *present = run(
            {
                "input_ids": ids[None].astype(np.int64),
                "attention_mask": np.ones((1, done), np.int64),
                "scored_positions": np.arange(len(ids)),
                **past,
            }
        )
        rows.append(hidden[0])
        past = dict(zip(past, present, strict=True))
    return np.concatenate(rows)


@pytest.mark.parametrize("name", ["qwen2", "gemma3", "smollm3", "phi3"])
def test_decoding_with_a_cache_equals_one_pass(name, request, tmp_path):
    """Biases; windows of 20 positions and two rotary bases; layers without rotary; packed and partly turned."""
    if name == "qwen2":
        file = request.getfixturevalue("qwen2")
    else:
        file = open_gguf(write_family(FAMILIES[name], tmp_path / "f.gguf"))
    ids = np.random.default_rng(9).integers(0, 30, 48).astype(np.int32)
    graph = load_graph(file)
    tables = rotary_inputs(file, graph, 64)
    run = session(file, graph, with_cache(fused_body(graph.fused))).run
    chunks = [ids[:30], *ids[30:].reshape(-1, 1)]
    stepped = decode(lambda inputs: run(inputs | tables), graph.fused.heads, chunks)
    plain = hidden_of(file, graph, CPU, Window(0, "d", ids, 24), fused=False)
    np.testing.assert_allclose(stepped[24:47], plain, atol=1e-4)


SETTINGS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "hidden_size": 256}


@pytest.mark.parametrize(
    "change",
    [
        {"query_pre_attn_scalar": 63},
        {"sliding_window": 20},
        {"attn_logit_softcapping": 30.0},
        {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 128},
    ],
    ids=lambda change: next(iter(change)),
)
def test_attention_that_computes_something_else_is_refused(tiny_graph, change):
    model = load_plain(tiny_graph.path)
    simplify(model, tiny_graph.slots)
    with pytest.raises(ExportError, match=r"layer 0: .*(differs by|cannot be checked)"):
        fuse(model, tiny_graph.slots, SETTINGS | change)


@pytest.mark.parametrize(("name", "expected"), [("gemma3", (0, 5)), ("smollm3", (0, 3)), ("qwen3", (0,))])
def test_layers_of_equal_nodes_are_checked_once(name, expected, tmp_path):
    graph = load_graph(open_gguf(write_family(FAMILIES[name], tmp_path / "f.gguf")))
    assert graph.fused.checked == expected


def halve_scores(softmax):
    softmax.input[0] = "halved"


def take_logarithm(softmax):
    softmax.op_type = "LogSoftmax"


def sum_over_queries(softmax):
    softmax.attribute[0].i = 2


@pytest.mark.parametrize("change", [halve_scores, take_logarithm, sum_over_queries])
def test_layer_that_differs_in_one_node_is_checked_on_its_own(tiny_graph, change):
    model = load_plain(tiny_graph.path)
    simplify(model, tiny_graph.slots)
    nodes = list(model.graph.node)
    softmax = [node for node in nodes if node.op_type == "Softmax"][1]
    halved = helper.make_node("Mul", [softmax.input[0], "half"], ["halved"])
    model.graph.initializer.append(helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]))
    change(softmax)
    replace_nodes(
        model.graph, [item for node in nodes for item in ([halved, node] if node is softmax else [node])]
    )
    with pytest.raises(ExportError, match="layer 1: "):
        fuse(model, tiny_graph.slots, SETTINGS)


LONG_WINDOW = 2500


@pytest.fixture(scope="module")
def long_windowed(tmp_path_factory):
    """A Mistral whose sliding window is longer than the check can afford."""
    family = FAMILIES["mistral"]
    settings = family.settings | {"sliding_window": LONG_WINDOW}
    changed = replace(
        family, settings=settings, metadata=lambda writer: writer.add_sliding_window(LONG_WINDOW)
    )
    return open_gguf(write_family(changed, tmp_path_factory.mktemp("long") / "m.gguf"))


def test_long_window_is_checked_with_a_short_one_and_fused(long_windowed):
    graph = load_graph(long_windowed)
    assert graph.plain_reason is None
    ids = np.random.default_rng(9).integers(0, 256, LONG_WINDOW + 100).astype(np.int32)
    window = Window(0, "d", ids, LONG_WINDOW)
    fused = hidden_of(long_windowed, graph, CPU, window)
    plain = hidden_of(long_windowed, graph, CPU, window, fused=False)
    np.testing.assert_allclose(fused, plain, atol=1e-4)


@pytest.mark.parametrize("window", [None, 30, 5000])
def test_window_other_than_the_graph_s_is_refused(long_windowed, window):
    graph = load_graph(long_windowed)
    model = load_plain(graph.path)
    simplify(model, graph.slots)
    with pytest.raises(ExportError, match=r"differs by|too long to be checked"):
        fuse(model, graph.slots, SETTINGS | {"sliding_window": window})


def test_long_window_that_the_graph_does_not_show_is_not_fused(long_windowed):
    graph = load_graph(long_windowed)
    model = load_plain(graph.path)
    del model.metadata_props[:]
    simplify(model, graph.slots)
    with pytest.raises(ExportError, match=f"{LONG_WINDOW} positions is too long to be checked"):
        fuse(model, graph.slots, SETTINGS | {"sliding_window": LONG_WINDOW})


def test_unknown_form_stays_plain_with_a_reason_and_is_scored(tiny, tiny_graph, tmp_path):
    slots = [slot for slot in tiny_graph.slots if not slot.parameter.endswith("o_proj.weight")]
    skeleton = Path(shutil.copy(tiny_graph.path, tmp_path))
    fusion = load_fusion(skeleton, slots, SETTINGS)
    assert fusion.fused is None
    assert fusion.residuals == tiny_graph.residuals
    assert fusion.reason == "the graph has no output projection"
    assert (
        load_fusion(skeleton, tiny_graph.slots, SETTINGS) == fusion
    )  # from beside the graph, not made again
    plain = replace(tiny_graph, fused=None, plain_reason=fusion.reason)
    expected = final_hidden(tiny.dequantize, IDS)[12:23]
    np.testing.assert_allclose(hidden_of(tiny, plain, CPU, WINDOW), expected, rtol=1e-3, atol=1e-4)


def test_damaged_record_is_made_again(tiny_graph, tmp_path):
    skeleton = Path(shutil.copy(tiny_graph.path, tmp_path))
    (tmp_path / "fusion.json").write_text("{", encoding="utf-8")
    fusion = load_fusion(skeleton, tiny_graph.slots, SETTINGS)
    assert fusion.fused is not None
    assert replace(fusion.fused, path=tiny_graph.fused.path) == tiny_graph.fused


def test_attention_that_puts_out_nothing_proves_nothing(tiny_graph, monkeypatch):
    """Zeros on both sides agree, whatever the weights are."""
    model = load_plain(tiny_graph.path)
    simplify(model, tiny_graph.slots)
    zeros = np.zeros((1, 24, 256), np.float32)
    monkeypatch.setattr(check, "_run_plain", lambda *_: zeros)
    monkeypatch.setattr(check, "_run_fused", lambda *_: zeros)
    with pytest.raises(ExportError, match="layer 0: the exported attention outputs only zeros"):
        fuse(model, tiny_graph.slots, SETTINGS)
