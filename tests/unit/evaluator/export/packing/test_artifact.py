"""The exported folder of a tiny model: decoding against float64 numpy, receipt, sizes."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import onnx
import pytest
from numpy_llama import final_hidden
from tiny_models import write_tiny_llama

from evaluator.export.exact.artifact import write_exact
from evaluator.export.exact.graph import Graph
from evaluator.export.packing.artifact import MODEL_FILE, export_packed, most_bytes, write_decoder
from evaluator.export.packing.nodes import EXACT_PRODUCTS
from evaluator.export.skeleton import WEIGHTS_FILE
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.decoding import Decoder
from evaluator.runtime.device import choose_device
from evaluator.support.errors import ExportError

IDS = np.random.default_rng(5).integers(0, 256, 20).astype(np.int32)
CPU = choose_device("cpu", 2)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    """Files of the tiny model in types that gguf itself can write, by type."""
    folder = tmp_path_factory.mktemp("quantized")
    return {
        kind: open_gguf(
            write_tiny_llama(folder / f"Tiny-{kind}.gguf", ggml_type=gguf.GGMLQuantizationType[kind])
        )
        for kind in ("Q4_0", "Q4_1", "Q5_1", "Q8_0", "F16", "BF16")
    }


def expected_logits(file):
    return final_hidden(file.dequantize, IDS) @ file.dequantize("token_embd.weight").T.astype(np.float64)


def decoded(folder, prompt):
    """Logits behind the prompt and behind every further token."""
    decoder = Decoder(folder / MODEL_FILE, CPU, len(IDS))
    return np.stack(
        [decoder.step(IDS[:prompt]).copy()]
        + [decoder.step(IDS[i : i + 1]).copy() for i in range(prompt, len(IDS))]
    )


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_1", "Q8_0", "F16", "BF16"])
def test_prompt_and_every_token_after_it_give_the_logits_of_numpy(quantized, tiny_graph, tmp_path, kind):
    write_decoder(quantized[kind], tiny_graph, tmp_path, accuracy_level=EXACT_PRODUCTS)
    expected = expected_logits(quantized[kind])
    np.testing.assert_allclose(decoded(tmp_path, 7), expected[6:], rtol=1e-3, atol=1e-3)


def test_exact_weights_decode_the_same_as_packed_ones(quantized, tiny_graph, tmp_path):
    for name, exact in (("exact", True), ("packed", False)):
        write_decoder(
            quantized["Q4_1"], tiny_graph, tmp_path / name, exact=exact, accuracy_level=EXACT_PRODUCTS
        )
    packed, exact = decoded(tmp_path / "packed", 3), decoded(tmp_path / "exact", 3)
    np.testing.assert_allclose(packed, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


def test_untied_head_is_packed_too(tiny_graph, tmp_path):
    kind = gguf.GGMLQuantizationType.Q8_0
    file = open_gguf(write_tiny_llama(tmp_path / "u.gguf", untied=True, ggml_type=kind))
    receipt = export_packed(file, tiny_graph, tmp_path / "out")
    assert {"output.weight", "token_embd.weight"} <= {entry.tensor for entry in receipt.tensors}
    found = decoded(tmp_path / "out", 19)[-1]
    expected = final_hidden(file.dequantize, IDS)[-1] @ file.dequantize("output.weight").T.astype(np.float64)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_query_and_key_of_one_form_are_one_product(quantized, tiny_graph, tmp_path):
    write_decoder(quantized["Q4_0"], tiny_graph, tmp_path)
    model = onnx.load(str(tmp_path / MODEL_FILE), load_external_data=False)
    products = [node for node in model.graph.node if node.op_type == "MatMulNBits"]
    assert (
        len(products) == 2 * 4 + 1
    )  # per layer: query, key and value; output; gate and up; down. And the head
    read = {name for node in model.graph.node for name in node.input}
    assert {item.name for item in model.graph.initializer} <= read  # onnxruntime warns of others


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
def test_weights_take_little_more_than_in_the_file(quantized, tiny_graph, tmp_path, kind):
    receipt = export_packed(quantized[kind], tiny_graph, tmp_path)
    packed, stored = (
        sum(getattr(e, name) for e in receipt.tensors) for name in ("artifact_bytes", "file_bytes")
    )
    assert packed <= 1.15 * stored
    assert (tmp_path / "weights.bin").stat().st_size >= packed


def test_receipt_says_what_is_exact_and_how_far_the_baseline_is(quantized, tiny, tiny_graph, tmp_path):
    receipt = export_packed(quantized["Q5_1"], tiny_graph, tmp_path, baseline=tiny)
    written = json.loads((tmp_path / "receipt.json").read_text())
    assert written == receipt.model_dump()
    assert len(written["tensors"]) == 2 * 7 + 1
    for entry in receipt.tensors:
        assert entry.fidelity in ("exact", "rounded")
        quantized_values = quantized["Q5_1"].dequantize(entry.tensor)
        values = tiny.dequantize(entry.tensor)
        error = np.linalg.norm(quantized_values - values) / np.linalg.norm(values)
        assert entry.baseline_error == pytest.approx(error, rel=1e-3)
        assert (entry.quant_type, entry.file_bytes) == ("Q5_1", values.size * 3 // 4)


@pytest.fixture
def interrupted_at(monkeypatch):
    """Interrupt what an export does to files before the step of a number; True once it has as many."""

    def arrange(number, work):
        steps = itertools.count()

        def counted(step):
            def stepping(*arguments, **options):
                if next(steps) == number:
                    raise KeyboardInterrupt
                return step(*arguments, **options)

            return stepping

        with monkeypatch.context() as patch:
            for owner, name in ((Path, "replace"), (Path, "unlink"), (Path, "write_text"), (onnx, "save")):
                patch.setattr(owner, name, counted(getattr(owner, name)))
            try:
                work()
            except KeyboardInterrupt:
                return True
        return False

    return arrange


@pytest.mark.parametrize("other", [export_packed, write_exact])
def test_interrupted_export_leaves_one_model_or_none(quantized, tiny_graph, tmp_path, interrupted_at, other):
    """Never one's graph over the other's weights, nor a receipt of another model than the one that runs."""
    expected = expected_logits(quantized["Q8_0"])[-1]
    outcomes, number = set(), 0
    going_on = True
    while going_on:
        folder = tmp_path / str(number)
        export_packed(quantized["Q8_0"], tiny_graph, folder)
        (folder / "notes.md").write_text("mine")
        going_on = interrupted_at(number, lambda: other(quantized["Q4_0"], tiny_graph, folder))  # noqa: B023
        names = {path.name for path in folder.iterdir()}
        assert not [name for name in names if "partial" in name]
        assert "notes.md" in names
        if MODEL_FILE not in names:
            outcomes.add("none")
        elif "receipt.json" in names and "Q8_0" in (folder / "receipt.json").read_text():
            outcomes.add("old")
            assert np.abs(decoded(folder, 19)[-1] - expected).max() < 0.05 * np.abs(expected).max()
        else:
            outcomes.add("new")
            assert ("export.json" in names, "genai_config.json" in names) == (
                (True, False) if other is write_exact else (False, True)
            )
        number += 1
    assert outcomes == {"none", "old", "new"}
    assert number > 4


def test_genai_configuration_names_the_inputs_the_model_has(quantized, tiny_graph, tmp_path):
    export_packed(quantized["Q8_0"], tiny_graph, tmp_path)
    model = onnx.load(str(tmp_path / MODEL_FILE), load_external_data=False).graph
    decoder = json.loads((tmp_path / "genai_config.json").read_text())["model"]["decoder"]
    layers = range(decoder["num_hidden_layers"])
    for side, items in (("inputs", model.input), ("outputs", model.output)):
        names = [
            name % layer if "%d" in name else name for name in decoder[side].values() for layer in layers
        ]
        assert set(names) == {item.name for item in items}


def test_model_without_a_decoding_graph_is_refused(tiny, tiny_graph, tmp_path):
    plain = Graph(tiny_graph.path, tiny_graph.slots, None, "its attention is of no known form")
    with pytest.raises(ExportError, match=r"no decoding graph.* its attention is of no known form"):
        write_decoder(tiny, plain, tmp_path)
    assert not (tmp_path / "weights.bin").exists()


def test_decoder_refuses_more_tokens_than_it_has_room_for(quantized, tiny_graph, tmp_path):
    write_decoder(quantized["Q8_0"], tiny_graph, tmp_path)
    decoder = Decoder(tmp_path / MODEL_FILE, CPU, 4)
    decoder.step(IDS[:4])
    with pytest.raises(ValueError, match=r"4 \+ 1 tokens do not fit"):
        decoder.step(IDS[:1])
    decoder.forget()
    first = decoder.step(IDS[:1]).copy()
    decoder.forget()
    np.testing.assert_array_equal(decoder.step(IDS[:1]), first)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # scales that are bytes of something else
@pytest.mark.parametrize("kind", ["Q4_1", "Q2_K", "Q6_K", "IQ2_XS", "TQ2_0", "F32", "BF16"])
def test_no_artifact_is_larger_than_foreseen_and_none_much_smaller(tiny_graph, tmp_path, monkeypatch, kind):
    monkeypatch.setattr("evaluator.export.packing.artifact._GRAPH_BYTES", 0)
    plain = open_gguf(write_tiny_llama(tmp_path / "Tiny.gguf"))
    ggml_type = gguf.GGMLQuantizationType[kind]
    block, block_bytes = gguf.GGML_QUANT_SIZES[ggml_type]
    infos = {
        name: replace(info, ggml_type=ggml_type, n_bytes=info.n_elements // block * block_bytes)
        for name, info in plain.tensors.items()
        if len(info.shape) == 2
    }
    file = replace(plain, tensors={**plain.tensors, **infos})
    write_decoder(file, tiny_graph, tmp_path / "out")
    n_bytes = (tmp_path / "out" / WEIGHTS_FILE).stat().st_size
    assert n_bytes <= most_bytes(file) < 1.35 * n_bytes


def test_exact_artifact_is_not_larger_than_foreseen(quantized, tiny_graph, tmp_path):
    written = write_decoder(quantized["Q4_1"], tiny_graph, tmp_path, exact=True)
    assert written <= most_bytes(quantized["Q4_1"], exact=True)
