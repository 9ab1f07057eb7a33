"""Quantized checkpoints give the values that torch computes from the same arrays, row by row and in a whole model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from passes import hidden_of
from quantized_checkpoints import FORMATS, quantize_folder
from tiny_checkpoints import random_model, save_checkpoint

from evaluator.export.exact.graph import load_graph
from evaluator.models.architectures import architecture_of, restored, tensor_names
from evaluator.models.naming import quant_label
from evaluator.models.sources.open_model import open_model
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
