"""Quantized checkpoints give the values that torch computes from the same arrays, row by row and in a whole model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from passes import hidden_of
from quantized_checkpoints import FORMATS, quantize_folder
from tiny_checkpoints import random_model, save_checkpoint

from evaluator.cli import app
from evaluator.export.exact.graph import load_graph
from evaluator.models.architectures import architecture_of, restored, tensor_names
from evaluator.models.naming import quant_label
from evaluator.models.sources.open_model import open_model
from evaluator.results.reader import read_manifest
from evaluator.results.store import ResultsStore
from evaluator.runtime.device import choose_device
from evaluator.texts.windows import Window


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = random_model("llama", tie_word_embeddings=True)
    return save_checkpoint(model, tmp_path_factory.mktemp("models") / "Tiny-Llama")


@pytest.fixture
def folder(saved, tmp_path):
    """Return a copy to quantize."""
    return Path(shutil.copytree(saved, tmp_path / "Tiny"))


@pytest.mark.parametrize("form", FORMATS)
def test_values_are_those_of_torch_and_rows_those_of_the_whole(folder, form):
    values = quantize_folder(folder, form)
    file = open_model(folder)
    architecture = architecture_of(file)
    for name, tensor in tensor_names(architecture, 2).items():
        if name not in values:
            continue
        expected = values[name].numpy()
        np.testing.assert_array_equal(restored(architecture, file, tensor), expected, err_msg=name)
        whole, read = file.dequantize(tensor), file.row_reader(tensor)
        np.testing.assert_array_equal(read(3, 77), whole[3:77])
        chosen = np.array([5, 0, 127, 5, 64])
        np.testing.assert_array_equal(file.gathered_rows(tensor, chosen), whole[chosen])
        assert file.tensors[tensor].ggml_type.name == FORMATS[form][2]
    assert quant_label(file) == FORMATS[form][2]
    stored = sum(path.stat().st_size for path in folder.iterdir() if path.name != "generation_config.json")
    assert file.size_bytes == stored


def test_a_run_of_the_command_measures_a_checkpoint_like_its_weights_in_float32(saved, tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("The other day, in the north, 12 of them ran over the wall. " * 20)
    quantized, exact = (Path(shutil.copytree(saved, tmp_path / name)) for name in ("Tiny-FP8", "Tiny-Exact"))
    quantize_folder(quantized, "float-quantized")
    quantize_folder(exact, "float-quantized", exact=True)
    given = [
        "run",
        "--baseline",
        exact,
        "--variant",
        f"a={quantized}",
        "--variant",
        f"b={saved}",
        "--no-speed",
    ]
    more = [
        "--text",
        f"prose={text}",
        "--context",
        16,
        "--chunks",
        2,
        "--device",
        "cpu",
        "--out",
        tmp_path / "out",
    ]
    command = typer.main.get_command(app)
    assert command([*map(str, given), *map(str, more)], standalone_mode=False) in (None, 0)
    said = " ".join(capsys.readouterr().err.split())
    store = ResultsStore(tmp_path / "out")
    rows = {row["method"]: row for row in store.variants().iter_rows(named=True)}
    assert (rows["a"]["kld_mean"], rows["a"]["quant"]) == (0, "FP8_E4M3")
    assert rows["b"]["kld_mean"] > 0
    assert rows["a"]["size_bytes"] < 0.7 * rows["b"]["size_bytes"]
    layers = pl.read_parquet(tmp_path / "out" / "layers.parquet")
    layers = layers.filter(pl.col("variant_id") == rows["a"]["variant_id"])
    types = dict(layers.filter(pl.col("role") == "ffn_up").select("layer", "quant_type").iter_rows())
    assert types == {0: "F32", 1: "FP8_E4M3"}
    bits = layers.filter((pl.col("role") == "ffn_up") & (pl.col("layer") == 1))["bits_per_weight"].item()
    assert bits == pytest.approx(8 + 32 / 256)
    remark = (
        "compressed-tensors also computes with activations in 8 bits; here only its weights are quantized"
    )
    assert read_manifest(tmp_path / "out").notices == [f"Tiny-FP8: {remark}"]
    assert "activations in 8 bits" in said


@pytest.mark.parametrize("form", ["fp8 blocks", "nvfp4-pack-quantized", "awq", "gptq order"])
def test_hidden_states_are_those_of_the_same_weights_in_float32(saved, folder, tmp_path, form):
    exact = Path(shutil.copytree(saved, tmp_path / "Exact"))
    quantize_folder(folder, form)
    quantize_folder(exact, form, exact=True)
    window = Window(0, "d", np.random.default_rng(1).integers(0, 262, 32).astype(np.int32), 16)
    hidden = []
    for path in (folder, exact):
        file = open_model(path)
        hidden.append(hidden_of(file, load_graph(file), choose_device("cpu", 1), window))
        for name in file.tensors:
            file.release_pages(name)
    np.testing.assert_array_equal(*hidden)
