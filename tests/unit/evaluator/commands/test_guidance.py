"""Sizes of the recipe guided, from the command line."""

from __future__ import annotations

import json

import pytest
from tiny_models import write_tiny_llama

from evaluator.commands import guidance
from evaluator.comparison import device_check
from evaluator.comparison.device_check import Verdict
from evaluator.models.gguf.reader import open_gguf
from evaluator.quantize.ggml import ggml_type
from evaluator.runtime.device import Device


def quantize(baseline, out, recipe="main", types="Q4_0", *more):
    return ["quantize", "--baseline", baseline, "--recipe", recipe, "--types", types, "--out", out, *more]


@pytest.mark.parametrize(
    ("recipe", "arguments", "message"),
    [
        (
            "guided",
            ("--target-bpw", 4, "--target-size", 1),
            "--target-size and --target-bpw: give one of them",
        ),
        ("guided", ("--target-bpw", 0), "--target-bpw 0: must be a positive number"),
        ("guided", ("--target-bpw", 4), "recipe guided measures the model on a text: --text FILE"),
        (
            "guided",
            ("--target-bpw", 40, "--text", "builtin"),
            "(40.00 bits per weight) is larger than recipe guided can make of",
        ),
        ("guided", ("--target-size", "1e300"), "--target-size 1e+300: must be a positive number of at most"),
        ("guided", ("--target-bpw", "1e307"), "--target-bpw 1e+307: must be a positive number of at most"),
        ("guided", ("--target-size", "1e-6"), "is smaller than the metadata of"),
        ("guided", ("--target-file", "none.gguf"), "none.gguf"),
        (
            "like:any.gguf",
            ("--target-bpw", 5),
            "--recipe like:any.gguf: the file names its size; leave --target-bpw 5 out",
        ),
        ("main", ("--target-bpw", 4), "recipe main has fixed sizes: name them with --types"),
    ],
)
def test_wrong_targets(evaluate, tiny_path, tmp_path, recipe, arguments, message):
    flags = ["--baseline", tiny_path, "--recipe", recipe, "--out", tmp_path / "q"]
    status, _, error = evaluate("quantize", *flags, *arguments)
    assert status == 2
    assert message in " ".join(error.strip().splitlines()[-1].split())
    assert not (tmp_path / "q").exists()


def test_guided_meets_the_size_of_a_file_and_keeps_what_it_measured(
    evaluate, tiny_path, tiny_graph, text_path, tmp_path
):
    evaluate(*quantize(tiny_path, tmp_path / "stock", "main", "Q4_K_M"))
    stock, out = tmp_path / "stock" / "Tiny-Q4_K_M.gguf", tmp_path / "q"
    flags = [
        "--baseline",
        tiny_path,
        "--recipe",
        "guided",
        "--out",
        out,
        "--text",
        text_path,
        "--device",
        "cpu",
    ]
    status, _, error = evaluate("quantize", *flags, "--target-file", stock)
    assert status == 0, error
    (made,) = out.glob("*.gguf")
    assert 0.9 * stock.stat().st_size < made.stat().st_size <= stock.stat().st_size
    kept = json.loads((out / "Tiny-divergence.json").read_text())["matrices"]
    assert set(kept) == {name for name, info in open_gguf(tiny_path).tensors.items() if len(info.shape) > 1}
    status, _, error = evaluate("quantize", *flags, "--types", "Q4_K_M")
    assert "measured earlier" in error
    assert (out / "Tiny-guided-Q4_K_M.gguf").is_file()
    types = out / "Tiny-guided-Q4_K_M.types.txt"
    assert evaluate(*quantize(tiny_path, tmp_path / "again", str(types), "Q4_K_M"))[0] == 0
    again = open_gguf(tmp_path / "again" / "Tiny-Q4_K_M.gguf")
    assert {name: info.ggml_type for name, info in again.tensors.items()} == {
        name: info.ggml_type for name, info in open_gguf(out / "Tiny-guided-Q4_K_M.gguf").tensors.items()
    }
    written = types.read_text()
    types.write_text(written + "changed=q8_0\n")
    status, _, error = evaluate("quantize", *flags, "--types", "Q4_K_M")
    assert status == 0
    assert f"{types.name}: kept, although Tiny-guided-Q4_K_M.gguf has other types" in "".join(
        error.split("\n")
    )
    assert types.read_text() == written + "changed=q8_0\n"
    assert evaluate("quantize", *flags, "--types", "Q4_K_M", "--force")[0] == 0
    assert types.read_text() == written


def test_guided_makes_nothing_of_a_model_whose_values_are_not_finite(evaluate, text_path, tmp_path):
    placed = {"output_norm.weight": (7, 1e38)}
    bad = write_tiny_llama(tmp_path / "Tiny-F32.gguf", placed=placed)
    more = ("--text", text_path, "--device", "cpu")
    status, _, error = evaluate(*quantize(bad, tmp_path / "q", "guided", "Q4_0", *more))
    assert status == 2
    assert f"{bad}: tensor" in error.splitlines()[-1]
    assert "its divergence is not finite" in error.splitlines()[-1]
    assert list((tmp_path / "q").iterdir()) == []


def test_guided_does_not_measure_on_a_gpu_that_is_off(
    evaluate, tiny_path, tiny_graph, text_path, tmp_path, monkeypatch
):
    gpu = Device("cuda", "CPUExecutionProvider", 1, notice="the second GPU is not used")
    off = Verdict("it is off by 20.00%", None, float32_is_off=True)
    monkeypatch.setattr(guidance, "choose_device", lambda *_: gpu)
    monkeypatch.setattr(device_check, "judge", lambda *_, **__: off)
    status, _, error = evaluate(*quantize(tiny_path, tmp_path / "q", "guided", "Q4_0", "--text", text_path))
    assert status == 2
    assert "cuda computes other values than the CPU: in float32 it is off by 20.00%" in error
    assert gpu.notice in error


def test_guided_spends_the_target_on_a_model_that_has_the_reference_type(evaluate, text_path, tmp_path):
    """Such a matrix would be copied into the reference and seem to lose nothing at any type."""
    q4_0 = ggml_type("Q4_0")
    baseline, out = write_tiny_llama(tmp_path / "Tiny-Q4_0.gguf", ggml_type=q4_0), tmp_path / "q"
    more = ("--out", out, "--text", text_path, "--device", "cpu")
    sizes = {}
    for flags in (("--target-bpw", 4.3), ("--target-bpw", 3.5), ("--types", "Q4_0")):
        status, _, error = evaluate("quantize", "--baseline", baseline, "--recipe", "guided-k", *flags, *more)
        assert status == 0, error
    made = {path.name.split("-")[-1].removesuffix(".gguf"): open_gguf(path) for path in out.glob("*.gguf")}
    sizes = {label: 8 * file.tensor_bytes / file.n_params for label, file in made.items()}
    assert 4.1 < sizes["4.30bpw"] <= 4.3
    assert 3.3 < sizes["3.50bpw"] <= 3.5
    matrices = [info for info in made["Q4_0"].tensors.values() if len(info.shape) > 1]
    assert {info.ggml_type for info in matrices} == {q4_0}
    kept = json.loads((out / "Tiny-divergence.json").read_text())["matrices"]
    assert {row["type"] for row in kept.values()} == {"Q3_K"}
    assert all(row["kld"] > 0 for row in kept.values())


def test_a_text_is_checked_before_anything_is_written(evaluate, tiny_path, tmp_path):
    short, out = tmp_path / "short.txt", tmp_path / "q"
    short.write_text("the rain", encoding="utf-8")
    status, _, error = evaluate(
        *quantize(tiny_path, out, "guided", "Q4_K_M", "--rescale", "--text", short, "--device", "cpu")
    )
    assert status == 2
    assert error.strip().endswith("one window needs 128; use a longer text")
    assert "measuring" not in error
    assert list(out.iterdir()) == []


def test_matrices_that_could_not_be_judged_are_named(
    evaluate, tiny_path, tiny_graph, text_path, tmp_path, monkeypatch
):
    name = "blk.0.attn_q.weight"
    monkeypatch.setattr(guidance, "judging_plan", lambda _source, plan, *_: (plan, [name]))
    more = ("--text", text_path, "--device", "cpu")
    for quant in ("Q4_K_M", "Q5_K_M"):  # measured, and read back
        status, _, error = evaluate(*quantize(tiny_path, tmp_path / "q", "guided-k", quant, *more))
        assert status == 0, error
        assert f"warning: matrices that could not be judged (1: {name})" in " ".join(error.split())
        made = open_gguf(tmp_path / "q" / f"Tiny-guided-k-{quant}.gguf")
        assert made.tensors[name].ggml_type.name == "Q8_0"
