"""Values of a model's tensors: whole, by rows, chosen rows; `gguf` is the oracle."""

from __future__ import annotations

import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gguf
import numpy as np
import pytest
from block_bytes import random_bytes
from gguf import GGMLQuantizationType as GGMLType
from tiny_checkpoints import random_model, save_checkpoint

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.model_file import TensorInfo
from evaluator.models.sources.open_model import open_model
from evaluator.support.errors import SourceError
from evaluator.support.stage_clock import StageClock

#: Tensor → type and shape in numpy order.
TENSORS = {
    "matrix": ("Q4_K", (37, 512)),
    "experts": ("IQ3_S", (3, 5, 512)),
    "embedding": ("Q8_0", (40_000, 512)),
    "halves": ("F16", (9, 24)),
    "floats": ("F32", (2, 3, 7)),
    "vector": ("F32", (16,)),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    rng = np.random.default_rng(0)
    for name, (kind, shape) in TENSORS.items():
        if kind in ("F16", "F32"):
            writer.add_tensor(name, rng.standard_normal(shape).astype(f"<f{2 if kind == 'F16' else 4}"))
            continue
        rows = random_bytes(kind, int(np.prod(shape[:-1])), shape[-1])
        writer.add_tensor(name, rows.reshape(*shape[:-1], -1), raw_dtype=GGMLType[kind])
    writer.add_tensor("integers", np.arange(8, dtype=np.int32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return open_gguf(path)


@pytest.fixture(scope="module")
def values(model):
    reader = gguf.GGUFReader(model.path)
    return {
        item.name: gguf.dequantize(item.data, item.tensor_type).reshape(TENSORS[item.name][1])
        for item in reader.tensors
        if item.name in TENSORS
    }


@pytest.mark.parametrize("name", TENSORS)
def test_whole_tensors(model, values, name):
    np.testing.assert_array_equal(model.dequantize(name), values[name])
    out = np.zeros(values[name].shape, np.float32)
    assert np.shares_memory(model.dequantize(name, out), out)
    np.testing.assert_array_equal(out, values[name])


def test_a_place_of_another_shape(model):
    with pytest.raises(ValueError, match=r"experts has shape \(3, 5, 512\)"):
        model.dequantize("experts", np.zeros((15, 512), np.float32))


@pytest.mark.parametrize("name", TENSORS)
def test_rows(model, values, name):
    rows, read = values[name].reshape(-1, values[name].shape[-1]), model.row_reader(name)
    for start, stop in ((0, 1), (0, len(rows)), (len(rows) // 2, len(rows))):
        np.testing.assert_array_equal(read(start, stop), rows[start:stop])
        out = np.zeros_like(rows[start:stop])
        assert np.shares_memory(read(start, stop, out), out)
        np.testing.assert_array_equal(out, rows[start:stop])


@pytest.mark.parametrize("name", TENSORS)
def test_chosen_rows(model, values, name):
    rows = values[name].reshape(-1, values[name].shape[-1])
    indices = np.random.default_rng(1).integers(0, len(rows), 50)
    np.testing.assert_array_equal(model.gathered_rows(name, indices), rows[indices])
    with pytest.raises(IndexError):
        model.gathered_rows(name, np.array([len(rows)]))


def test_rows_are_read_by_several_threads(model, values):
    read, rows = model.row_reader("matrix"), values["matrix"]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda start: read(start, start + 1), list(range(37)) * 5))
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate([rows] * 5))


def test_types_without_values_name_the_file(model):
    read = model.row_reader("integers")
    for call in (
        lambda: model.dequantize("integers"),
        lambda: read(0, 1),
        lambda: model.gathered_rows("integers", np.array([0])),
    ):
        with pytest.raises(SourceError, match=r"m.gguf: tensor integers: cannot dequantize I32"):
            call()


def test_time_counts_for_the_run_that_asked(model):
    clock, other = StageClock(), StageClock()
    with clock.running():
        read = model.row_reader("embedding")
    with other.running():
        thread = threading.Thread(target=read, args=(0, 40_000))
        thread.start()
        thread.join()
    assert not other.seconds
    assert clock.seconds["dequantizing"] > 0


def resident_of(path):
    """Resident bytes of the mappings of one file, exactly."""
    mappings = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    return 1024 * sum(int(re.search(r"Rss: +(\d+)", item)[1]) for item in mappings if str(path) in item)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_pages_of_one_tensor_are_released(model, values):
    size = model.tensor("embedding").n_bytes
    model.dequantize("embedding")
    before = resident_of(model.path)
    assert before > size
    model.release_pages("embedding")
    assert before - resident_of(model.path) == pytest.approx(size, abs=8192)
    np.testing.assert_array_equal(model.dequantize("embedding"), values["embedding"])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_chosen_rows_read_only_their_pages(model):
    model.release_pages("embedding")
    before = resident_of(model.path)
    model.gathered_rows("embedding", np.array([0, 39_999]))
    assert resident_of(model.path) - before < model.tensor("embedding").n_bytes / 10


def test_checkpoints_have_rows_and_release_them(tmp_path):
    file = open_model(save_checkpoint(random_model("llama", tie_word_embeddings=True), tmp_path))
    for name in ("token_embd.weight", "blk.0.attn_q.weight", "blk.0.attn_norm.weight"):
        whole = file.dequantize(name).copy()
        file.release_pages(name)
        indices = np.array([whole.reshape(-1, whole.shape[-1]).shape[0] - 1, 0])
        rows = whole.reshape(-1, whole.shape[-1])[indices]
        np.testing.assert_array_equal(file.gathered_rows(name, indices), rows)
        np.testing.assert_array_equal(file.row_reader(name)(0, 1), rows[1:])
        np.testing.assert_array_equal(file.dequantize(name), whole)
    with pytest.raises(SourceError, match="absent is missing"):
        file.release_pages("absent")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", ["token_embd.weight", "blk.0.attn_q.weight"])
def test_pages_of_a_checkpoints_tensor_are_released(tmp_path, name):
    file = open_model(save_checkpoint(random_model("llama"), tmp_path))
    file.dequantize(name).sum()
    before = resident_of(tmp_path / "model.safetensors")
    file.release_pages(name)
    released = before - resident_of(tmp_path / "model.safetensors")
    assert released == pytest.approx(file.tensor(name).n_bytes, abs=8192)


def test_arranging_a_checkpoints_rows_counts_as_reading(tmp_path):
    file, clock = open_model(save_checkpoint(random_model("llama"), tmp_path)), StageClock()
    with clock.running():
        file.row_reader("blk.0.attn_q.weight")(0, 2)
    assert set(clock.seconds) <= {"reading", "dequantizing"}
    assert clock.seconds


@pytest.mark.parametrize(
    ("shape", "factors"), [((6, 128), [0.5]), ((3, 4, 64), [0.5, -2.0, 3.0]), ((3, 4, 64), [7.0])]
)
def test_nvfp4_weights_are_multiplied_by_their_scale(tmp_path, shape, factors):
    rows = np.random.default_rng(1).integers(
        0, 120, (int(np.prod(shape[:-1])), shape[-1] // 64 * 36), dtype=np.uint8
    )
    writer = gguf.GGUFWriter(str(tmp_path / "m.gguf"), "llama")
    writer.add_tensor("a.weight", rows.reshape(*shape[:-1], -1), raw_dtype=GGMLType.NVFP4)
    writer.add_tensor("a.scale", np.array(factors, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = open_gguf(tmp_path / "m.gguf")
    stored = gguf.dequantize(rows, GGMLType.NVFP4).reshape(shape)
    expected = stored * np.array(factors, np.float32).reshape(-1, *(1,) * (len(shape) - 1))
    np.testing.assert_array_equal(file.dequantize("a.weight"), expected)
    flat, chosen = expected.reshape(-1, shape[-1]), np.array([5, 0, 5])
    np.testing.assert_array_equal(file.row_reader("a.weight")(2, 5), flat[2:5])
    np.testing.assert_array_equal(file.gathered_rows("a.weight", chosen), flat[chosen])


def test_scales_for_another_number_of_matrices_are_refused(tmp_path):
    writer = gguf.GGUFWriter(str(tmp_path / "m.gguf"), "llama")
    writer.add_tensor("a.weight", np.zeros((6, 36), np.uint8), raw_dtype=GGMLType.NVFP4)
    writer.add_tensor("a.scale", np.ones(5, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(SourceError, match=r"a\.scale holds 5 numbers, not one for each matrix"):
        open_gguf(tmp_path / "m.gguf").row_reader("a.weight")


def test_rows_of_a_tensor_without_columns():
    info = TensorInfo("a", (3, 0), GGMLType.F32, 0, 0)
    assert (info.n_rows, info.n_elements) == (3, 0)
