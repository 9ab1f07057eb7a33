"""Whole comparisons of tiny models, from files to frames."""

from __future__ import annotations

import io
import shutil

import numpy as np
import polars as pl
import pytest
from numpy_llama import final_hidden, log_softmax
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_models import write_tiny_llama

from evaluator.commands.run import export_model, inspect_source, run_comparison
from evaluator.models.architectures.rotary import beyond_training
from evaluator.models.gguf.reader import open_gguf
from evaluator.planning.config import VariantSource
from evaluator.results.reader import read_manifest
from evaluator.results.store import ResultsStore
from evaluator.support.errors import EvaluatorError, RequestError, SourceError


def run(tiny_path, text_path, out, sources, **options):
    plain = tiny_comparison(tiny_path, sources[0], text_path, out, chunks=3)
    variants = tuple(VariantSource(method="m", source=str(source)) for source in sources)
    comparison = plain.model_copy(update={"variants": variants})
    return run_comparison(comparison, Console(file=io.StringIO()), **options)


@pytest.fixture
def files(tiny_path, tiny_graph, tmp_path):
    """A copy, a lossy variant, a truncated one, one of another family, one whose head does not fit."""
    copy, truncated = tmp_path / "Tiny-copy-Q8_0.gguf", tmp_path / "Tiny-cut-Q4_0.gguf"
    shutil.copy(tiny_path, copy)
    truncated.write_bytes(tiny_path.read_bytes()[:-9000])
    lossy = write_tiny_llama(tmp_path / "Tiny-lossy-Q4_1.gguf", noise=0.01)
    other = write_tiny_llama(tmp_path / "Tiny-other-Q5_0.gguf", architecture="qwen2")
    head = write_tiny_llama(tmp_path / "Tiny-head-Q5_1.gguf", untied=True, head_rows=100)
    return {"copy": copy, "lossy": lossy, "truncated": truncated, "other": other, "head": head}


def test_copy_diverges_by_nothing_and_a_second_run_reuses_all(tiny_path, text_path, tmp_path, files):
    out, sources = tmp_path / "out", [files["copy"], files["lossy"]]
    first = run(tiny_path, text_path, out, sources)
    rows = {row["quant"]: row for row in first["variants"]}
    assert (rows["Q8_0"]["kld_mean"], rows["Q8_0"]["same_top"]) == (0.0, 1.0)
    assert rows["Q8_0"]["ppl"] == rows["F32"]["ppl"]
    assert rows["Q4_1"]["kld_mean"] > 0
    assert rows["F32"]["kld_mean"] is None
    assert (len(first["measured"]), first["failures"], first["n_tokens"]) == (3, [], 3 * 7)
    assert set(first["stage_seconds"]) == set(first["measured"])
    for seconds in first["stage_seconds"].values():
        assert set(seconds) == {"reading", "dequantizing", "computing", "scoring"}
    assert first["memory"]["streams"] == "device"
    assert first["memory"]["stream_bytes"] == 3 * 16 * 256 * 4
    second = run(tiny_path, text_path, out, sources)
    assert (second["measured"], second["stage_seconds"]) == ([], {})
    assert read_manifest(out).stage_seconds == first["stage_seconds"]
    assert len(second["reused"]) == 2
    assert second["variants"] == first["variants"]
    assert len(run(tiny_path, text_path, out, sources, force=True)["measured"]) == 3


def test_lossy_variant_gets_the_numbers_of_float64(tiny, tiny_path, text_path, tmp_path, files):
    run(tiny_path, text_path, tmp_path / "out", [files["lossy"]])
    row = pl.read_parquet(tmp_path / "out" / "variants.parquet").filter(~pl.col("is_baseline")).to_dicts()[0]
    tokens = pl.read_parquet(tmp_path / "out" / "tokens" / f"{row['variant_id']}.parquet")
    from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf

    ids = tokenizer_from_gguf(tiny).encode(text_path.read_text())[:48].reshape(3, 16)
    nll, kld = [], []
    for window in ids:
        logp = []
        for file in (tiny, open_gguf(files["lossy"])):
            hidden = final_hidden(file.dequantize, window)[8:15]
            logp.append(log_softmax(hidden @ file.dequantize("token_embd.weight").T))
        nll.extend(-logp[1][np.arange(7), window[9:]])
        kld.extend((np.exp(logp[0]) * (logp[0] - logp[1])).sum(axis=1))
    np.testing.assert_allclose(tokens["nll"], nll, rtol=1e-3)
    assert row["ppl"] == pytest.approx(np.exp(np.mean(nll)), rel=1e-4)
    assert row["kld_mean"] == pytest.approx(np.mean(kld), rel=1e-2)


@pytest.mark.parametrize("bad", ["truncated", "other", "head"])
def test_unusable_variant_is_a_failure_and_the_good_one_is_written(
    tiny_path, text_path, tmp_path, files, bad
):
    out = tmp_path / "out"
    summary = run(tiny_path, text_path, out, [files[bad], files["copy"]])
    assert [failure["source"] for failure in summary["failures"]] == [str(files[bad])]
    assert {row["quant"] for row in summary["variants"]} == {"F32", "Q8_0"}
    assert len(read_manifest(out).failures) == 1
    assert not (out / "work").exists()


def test_two_runs_name_files_of_one_quant_and_both_stay(tiny_path, tiny_graph, text_path, tmp_path):
    for number, name in enumerate("ab"):
        source = write_tiny_llama(tmp_path / f"{name}-Q4_0.gguf", noise=0.01 * (number + 1))
        summary = run(tiny_path, text_path, tmp_path / "out", [source])
    assert sorted(row["method"] for row in summary["variants"]) == ["baseline", "m", "m"]
    assert len({row["kld_mean"] for row in summary["variants"]}) == 3


def test_windows_longer_than_the_model_s_own_are_remarked_on(tiny_path, tiny):
    assert tiny.metadata["llama.context_length"] == 128
    assert "is beyond the 128 tokens" in beyond_training(tiny, 130)
    assert beyond_training(tiny, 128) is None


def test_what_is_remarked_on_stays_in_the_manifest(tiny_path, text_path, tmp_path):
    text_path.write_text("".join(f"{number} grey stones. " for number in range(200)))
    said = io.StringIO()
    variant = write_tiny_llama(tmp_path / "Tiny-Q4_0.gguf", noise=0.01)
    comparison = tiny_comparison(tiny_path, variant, text_path, tmp_path / "out", chunks=1)
    for update in ({"context": 192}, {"context": 192, "layers": False}):
        run_comparison(comparison.model_copy(update=update), Console(file=said, width=300))
    remark = "--context 192 is beyond the 128 tokens that Tiny-F32.gguf was made for"
    (notice,) = read_manifest(tmp_path / "out").notices
    assert notice.startswith(remark)
    assert said.getvalue().count(remark) == 2


def test_windows_that_do_not_fit_into_memory_are_refused_before_anything_runs(
    tiny_path, tiny_graph, text_path, tmp_path
):
    variant = write_tiny_llama(tmp_path / "Tiny-Q4_0.gguf", noise=0.01)
    comparison = tiny_comparison(tiny_path, variant, text_path, tmp_path / "out")
    changes = {"context": 96, "memory": 0.5}
    with pytest.raises(RequestError, match=r"--context 96: .* 0\.5 GB may be used; use --memory \d"):
        run_comparison(comparison.model_copy(update=changes), Console(file=io.StringIO()))
    assert not (tmp_path / "out" / "variants.parquet").exists()


def test_full_disk_is_one_line_that_names_the_folder(tiny_path, text_path, tmp_path, files, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ResultsStore, "add", full)
    with pytest.raises(EvaluatorError, match=r"out: No space left on device; what was finished is kept"):
        run(tiny_path, text_path, tmp_path / "out", [files["copy"]])


def test_inspect_tells_what_a_file_and_a_folder_hold(tiny_path, text_path, tmp_path, files):
    facts, _ = inspect_source(str(tiny_path))
    recipe = facts["models"][0].pop("recipe")
    assert {matrix["type"] for matrix in recipe["matrices"]} == {"F32"}
    assert facts["models"][0] | {"path": ""} == {
        "path": "",
        "model": "Tiny",
        "architecture": "llama",
        "quant": "F32",
        "tokenizer": "gpt2",
        "pre": "gpt-2",
        "n_params": open_gguf(tiny_path).n_params,
        "size_bytes": tiny_path.stat().st_size,
        "bits_per_weight": 32.0,
        "tensor_types": {"F32": 20},
    }
    run(tiny_path, text_path, tmp_path / "out", [files["copy"]])
    facts, _ = inspect_source(str(tmp_path / "out"))
    assert (facts["manifest"]["model"], len(facts["variants"])) == ("Tiny", 2)


@pytest.mark.parametrize("inside", ["tokens/prose.txt", "work/prose.txt", "manifest.json"])
def test_a_text_that_lies_where_results_are_written_is_refused(tiny_path, text_path, tmp_path, files, inside):
    out = tmp_path / "out"
    run(tiny_path, text_path, out, [files["copy"]])
    (out / inside).parent.mkdir(exist_ok=True)
    if inside != "manifest.json":
        shutil.copy(text_path, out / inside)
    before = (out / inside).read_bytes()
    with pytest.raises(RequestError, match="lies where results are written"):
        run(tiny_path, out / inside, out, [files["copy"]], force=True)
    assert (out / inside).read_bytes() == before
    beside = shutil.copy(text_path, out / "prose.txt")
    assert run(tiny_path, beside, out, [files["copy"]])["failures"] == []


@pytest.mark.parametrize(
    ("options", "weights", "message"),
    [
        ({"ffn": 256}, "packed", "intermediate_size is 512, the baseline's is 256"),
        ({"architecture": "qwen2"}, "packed", "architecture llama is not the baseline's qwen2"),
        ({"drop": ["blk.0.ffn_up.weight"]}, "packed", r"baseline .*blk\.0\.ffn_up\.weight is missing"),
        ({}, "exact", "leave it out, or add --weights packed"),
    ],
)
def test_an_export_does_not_compare_what_does_not_compare(tiny_path, tmp_path, options, weights, message):
    baseline, out = write_tiny_llama(tmp_path / "b.gguf", **options), tmp_path / "out"
    with pytest.raises((RequestError, SourceError), match=message):
        export_model(str(tiny_path), out, weights, str(baseline), Console(file=io.StringIO()))
    assert not out.exists()


def test_an_export_spares_the_model_that_it_reads(tiny_path, tmp_path):
    model = shutil.copy(tiny_path, tmp_path / "model.onnx")
    with pytest.raises(RequestError, match="would be overwritten"):
        export_model(str(model), tmp_path, "exact", None, Console(file=io.StringIO()))
    assert model.read_bytes() == tiny_path.read_bytes()


def test_an_export_needs_a_folder(tiny_path, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(RequestError, match="taken: cannot be written"):
        export_model(str(tiny_path), taken, "exact", None, Console(file=io.StringIO()))
    assert taken.read_text() == "a file"
