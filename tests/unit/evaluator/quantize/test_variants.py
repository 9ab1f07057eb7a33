"""Quantized files of a tiny model, read back with gguf's own reader."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import gguf
import numpy as np
import pytest
from rich.progress import Progress
from tiny_models import write_tiny_llama

from evaluator.models.gguf.reader import open_gguf
from evaluator.quantize.batch import Evidence, make_all, plan_jobs, select
from evaluator.quantize.imatrix import read_imatrix, write_imatrix
from evaluator.support.errors import RequestError, SourceError

TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


@pytest.fixture
def source(tmp_path):
    metadata = {"tokenizer.chat_template": (TEMPLATE, gguf.GGUFValueType.STRING)}
    return open_gguf(write_tiny_llama(tmp_path / "Tiny-F32.gguf", metadata=metadata))


@pytest.fixture
def importance(source, tmp_path):
    generator = np.random.default_rng(2)
    sums = {
        name: 512 * generator.lognormal(0, 1, info.shape[-1])
        for name, info in source.tensors.items()
        if name.startswith("blk.") and len(info.shape) == 2
    }
    write_imatrix(tmp_path / "i.gguf", sums, 512, 512, ["calibration.txt"])
    return read_imatrix(tmp_path / "i.gguf")


def make(source, out, recipe, *quants, importance=None, replace=False):
    with ThreadPoolExecutor(2) as pool, Progress(disable=True) as progress:
        jobs = plan_jobs(source, select(recipe, quants), out, Evidence(importance), pool, replace=replace)
        return jobs, make_all(source, jobs, pool, progress, replace=replace)


@pytest.mark.parametrize("quant", ["Q4_0", "Q5_1", "Q8_0"])
def test_simple_types_hold_what_gguf_py_would_write(source, tmp_path, quant):
    [job], _ = make(source, tmp_path / "out", "main", quant)
    reader = gguf.GGUFReader(job.target)
    assert reader.get_field("general.file_type").contents() == int(gguf.LlamaFileType[f"MOSTLY_{quant}"])
    for item in reader.tensors:
        if item.tensor_type.name == quant:
            expected = gguf.quantize(source.dequantize(item.name), item.tensor_type)
            np.testing.assert_array_equal(item.data, expected)
    kinds = {item.name: item.tensor_type.name for item in reader.tensors}
    assert kinds["blk.1.ffn_up.weight"] == quant
    assert kinds["output_norm.weight"] == "F32"


def test_k_quants_stay_within_their_error(source, tmp_path):
    [job], _ = make(source, tmp_path, "main", "Q4_K_M")
    made = open_gguf(job.target)
    for name, bound in (
        ("blk.0.attn_q.weight", 0.1),
        ("blk.0.attn_v.weight", 0.1),
        ("token_embd.weight", 0.03),
    ):
        expected = source.dequantize(name)
        error = np.linalg.norm(made.dequantize(name) - expected) / np.linalg.norm(expected)
        assert 0.001 < error < bound


def test_file_name_metadata_tokenizer_and_template(source, tmp_path):
    [job], made = make(source, tmp_path / "out", "main", "q4_k_m")
    assert made == [tmp_path / "out" / "Tiny-Q4_K_M.gguf"]
    assert [path.name for path in job.target.parent.iterdir()] == ["Tiny-Q4_K_M.gguf"]
    found = open_gguf(job.target)
    assert found.metadata["general.quantization_version"] == 2
    assert found.metadata["quantize.recipe"] == "main"
    for key, value in source.metadata.items():
        assert np.array_equal(found.metadata[key], value), key


def test_importance_matrix_changes_bytes_and_is_recorded(source, tmp_path, importance):
    [plain], _ = make(source, tmp_path / "main", "main", "Q4_K_S")
    [better], _ = make(source, tmp_path / "bartowski", "bartowski", "Q4_K_S", importance=importance)
    files = [open_gguf(job.target) for job in (plain, better)]
    assert not np.array_equal(*(file.raw("blk.0.ffn_up.weight") for file in files))
    np.testing.assert_array_equal(*(file.raw("token_embd.weight") for file in files))
    recorded = {key: value for key, value in files[1].metadata.items() if key.startswith("quantize.imatrix")}
    assert recorded == {
        "quantize.imatrix.file": str(importance.path),
        "quantize.imatrix.dataset": "calibration.txt",
        "quantize.imatrix.entries_count": 14,
        "quantize.imatrix.chunks_count": 1,
    }
    assert not [key for key in files[0].metadata if "imatrix" in key]


def test_finished_files_are_left_alone(source, tmp_path):
    _, first = make(source, tmp_path, "main", "Q4_0", "Q8_0")
    before = {path: path.stat().st_mtime_ns for path in first}
    _, second = make(source, tmp_path, "main", "Q4_0", "Q8_0", "Q5_0")
    assert [path.name for path in second] == ["Tiny-Q5_0.gguf"]
    assert {path: path.stat().st_mtime_ns for path in first} == before


def test_files_made_otherwise_are_refused_before_any_work(source, tmp_path, importance):
    [job], _ = make(source, tmp_path, "main", "Q4_0")
    content = job.target.read_bytes()
    with pytest.raises(
        RequestError, match=r"Tiny-Q4_0.gguf: was made from another source or recipe: .*--force"
    ):
        make(source, tmp_path, "bartowski", "Q8_0", "Q4_0", importance=importance)
    assert (job.target.read_bytes(), (tmp_path / "Tiny-Q8_0.gguf").exists()) == (content, False)
    make(source, tmp_path, "bartowski", "Q4_0", importance=importance, replace=True)
    assert job.target.read_bytes() != content


def test_a_truncated_file_of_the_same_name_is_refused(source, tmp_path):
    [job], _ = make(source, tmp_path, "main", "Q4_0")
    job.target.write_bytes(job.target.read_bytes()[:-100])
    with pytest.raises(RequestError, match="was made from another source"):
        make(source, tmp_path, "main", "Q4_0")


def test_tensors_that_have_the_type_already_are_copied(source, tmp_path):
    [first], _ = make(source, tmp_path / "a", "main", "Q4_K_S")
    [again], _ = make(open_gguf(first.target), tmp_path / "b", "main", "Q4_K_S")
    np.testing.assert_array_equal(
        *(open_gguf(job.target).raw("blk.0.attn_q.weight") for job in (first, again))
    )


def test_values_that_are_not_finite_leave_no_file(tmp_path):
    path = write_tiny_llama(tmp_path / "Bad-F32.gguf", layers=1)
    with path.open("r+b") as file:
        info = open_gguf(path).tensors["blk.0.ffn_up.weight"]
        file.seek(info.offset + 40)
        file.write(np.array([np.nan], np.float32).tobytes())
    with pytest.raises(
        SourceError, match=r"Bad-F32.gguf: tensor blk.0.ffn_up.weight: values that are not finite"
    ):
        make(open_gguf(path), tmp_path / "out", "main", "Q8_0")
    assert list((tmp_path / "out").iterdir()) == []


def test_unknown_size_suggests_the_nearest(source, tmp_path):
    with pytest.raises(RequestError, match=r"recipe main has no Q6_KK; did you mean Q6_K\?"):
        make(source, tmp_path, "main", "Q6_KK")
