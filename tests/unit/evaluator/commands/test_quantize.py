"""`quantize`, `imatrix` and `inspect` from the command line: files, statuses and one-line errors."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import gguf
import llama_logits
import numpy as np
import pytest
from checkpoint_logits import IDS, logits_of_transformers
from described_decisions import BASES
from tiny_checkpoints import edit_json, random_model, save_checkpoint
from tiny_models import write_tiny_llama

from evaluator.models.gguf.reader import open_gguf
from evaluator.quantize.imatrix import read_imatrix


def quantize(baseline, out, recipe="main", types="Q4_0", *more):
    return ["quantize", "--baseline", baseline, "--recipe", recipe, "--types", types, "--out", out, *more]


def test_imatrix_quantize_inspect(evaluate, tiny_path, tiny_graph, text_path, tmp_path):
    imatrix = tmp_path / "i.gguf"
    flags = ["--baseline", tiny_path, "--text", text_path, "--out", imatrix, "--context", 16, "--chunks", 2]
    assert evaluate("imatrix", *flags, "--device", "cpu")[0] == 0
    assert (len(read_imatrix(imatrix).means), read_imatrix(imatrix).chunks) == (14, 2)
    more = ("--imatrix", imatrix, "--threads", 1)
    status, _, error = evaluate(*quantize(tiny_path, tmp_path / "q", "bartowski", "Q4_K_M,Q4_K_L", *more))
    assert status == 0
    assert "Tiny-Q4_K_L.gguf: made" in error
    assert (
        "Tiny-Q4_K_M.gguf: already exists"
        in evaluate(*quantize(tiny_path, tmp_path / "q", "bartowski", "Q4_K_M", *more))[2]
    )
    status, out, _ = evaluate(
        "inspect", tmp_path / "q" / "Tiny-Q4_K_M.gguf", tmp_path / "q" / "Tiny-Q4_K_L.gguf", "--json"
    )
    assert [(item["role"], item["types"]) for item in json.loads(out)["changed"]] == [
        ("token_embd", ["Q6_K", "Q8_0"])
    ]


def test_inspect_shows_the_recipe_and_writes_it(evaluate, tiny_path, tmp_path):
    evaluate(*quantize(tiny_path, tmp_path, types="Q4_K_M"))
    made = tmp_path / "Tiny-Q4_K_M.gguf"
    types = tmp_path / "types.txt"
    status, out, _ = evaluate("inspect", made, "--tensor-types", types)
    assert status == 0
    assert "recipe: main" in out
    assert "Q6_K: 1" in out
    recipe = json.loads(evaluate("inspect", made, "--json")[1])["models"][0]["recipe"]
    assert recipe["provenance"]["quantize.recipe"] == "main"
    by_name = {item["tensor"]: item for item in recipe["matrices"]}
    assert by_name["blk.1.attn_v.weight"]["type"] == "Q6_K"
    assert by_name["blk.1.attn_v.weight"]["bits_per_weight"] == pytest.approx(6.5625)
    assert evaluate(*quantize(tiny_path, tmp_path / "again", str(types), "Q4_K_M"))[0] == 0
    first, again = (open_gguf(path) for path in (made, tmp_path / "again" / "Tiny-Q4_K_M.gguf"))
    assert all((first.raw(name) == again.raw(name)).all() for name in first.tensors)


def test_a_published_file_is_followed(evaluate, tiny_path, tmp_path):
    types = tmp_path / "types.txt"
    types.write_text("attn_q=q8_0 ffn_down=iq4_nl", encoding="utf-8")
    assert evaluate(*quantize(tiny_path, tmp_path / "theirs", str(types), "Q4_K_M"))[0] == 0
    theirs = tmp_path / "theirs" / "Tiny-Q4_K_M.gguf"
    theirs = theirs.rename(theirs.with_name("Tiny-UD-Q4_K_XL.gguf"))
    flags = ["quantize", "--baseline", tiny_path, "--recipe", f"like:{theirs}"]
    status, _, error = evaluate(*flags, "--out", tmp_path / "ours")
    assert (status, "Tiny-UD-Q4_K_XL.gguf: made" in error) == (0, True)
    first, again = (open_gguf(tmp_path / place / theirs.name) for place in ("theirs", "ours"))
    assert [info.ggml_type for info in first.tensors.values()] == [
        info.ggml_type for info in again.tensors.values()
    ]
    assert first.metadata["general.file_type"] == again.metadata["general.file_type"]
    assert all((first.raw(name) == again.raw(name)).all() for name in first.tensors)
    status, _, error = evaluate(*flags, "--types", "Q4_0", "--out", tmp_path / "ours")
    assert (status, "leave --types out" in error) == (2, True)
    status, _, error = evaluate(*flags[:-1], "main", "--out", tmp_path / "ours")
    assert (status, "name the sizes of recipe main to make" in error) == (2, True)


def test_types_that_rows_do_not_fit_are_said(evaluate, tmp_path):
    """576 columns, as SmolLM2 has: no multiple of 256."""
    source = write_tiny_llama(tmp_path / "Tiny-F32.gguf", hidden=576, heads=9, kv_heads=3, layers=1)
    _, _, error = evaluate(*quantize(source, tmp_path / "q", "main", "Q4_K_S,Q8_0"))
    [line] = [line for line in error.splitlines() if "do not divide" in line]
    made = open_gguf(tmp_path / "q" / "Tiny-Q4_K_S.gguf")
    kinds = [info.ggml_type.name for info in made.tensors.values()]
    assert line.startswith("Tiny-Q4_K_S.gguf: ")
    assert f"Q5_0 for Q4_K ×{kinds.count('Q5_0')}" in line
    assert f"Q5_1 for Q5_K ×{kinds.count('Q5_1')}" in line


def test_yarn_is_written_as_llama_cpp_computes_it(evaluate, tmp_path):
    yarn = {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "beta_fast": 8.0,
        "truncate": False,
    }
    base = {**BASES["gpt_oss"], "rope_scaling": yarn}
    exact = save_checkpoint(random_model("gpt_oss", **base), tmp_path / "exact")
    rounded = shutil.copytree(exact, tmp_path / "rounded")
    edit_json(rounded / "config.json", rope_scaling={**yarn, "truncate": True})
    made = []
    for folder in (exact, rounded):
        status, _, error = evaluate(*quantize(folder, tmp_path, "main", "F16"))
        assert status == 0
        assert ("rounded bounds" in " ".join(error.split())) == (folder == exact)
        made.append(open_gguf(tmp_path / f"{folder.name}-F16.gguf"))
    assert made[0].tensors == made[1].tensors
    scaling = [
        {key: value for key, value in file.metadata.items() if ".rope." in key and key in made[1].metadata}
        for file in made
    ]
    assert scaling[0] == scaling[1]
    assert made[0].metadata.keys() == made[1].metadata.keys()
    expected, other = (logits_of_transformers(folder) for folder in (rounded, exact))
    found = llama_logits.logits(made[0].path, IDS)[0]
    np.testing.assert_allclose(found, expected, atol=5e-3)
    assert np.abs(other - expected).max() > 2e-2


def test_rescale_writes_the_baseline_beside_the_variants(evaluate, tmp_path):
    source = write_tiny_llama(tmp_path / "Tiny-Q8_0.gguf", ggml_type=gguf.GGMLQuantizationType.Q8_0)
    status, _, error = evaluate(*quantize(source, tmp_path / "q", "main", "Q8_0", "--rescale"))
    assert status == 0
    assert "the baseline of these variants" in error
    assert {path.name for path in (tmp_path / "q").iterdir()} == {
        "Tiny-rescaled-F16.gguf",
        "Tiny-rescaled-Q8_0.gguf",
    }
    note = open_gguf(tmp_path / "q" / "Tiny-rescaled-F16.gguf").metadata["quantize.rescaled"]
    assert note == "log-normal factors, sigma 0.3, seed 0"
    again = evaluate(*quantize(source, tmp_path / "q", "main", "Q8_0", "--rescale"))
    assert "Tiny-rescaled-Q8_0.gguf: already exists" in again[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("none", "Q4_0"),
            "--recipe none: no such file or recipe (known: bartowski, guided, guided-k, main, unsloth)",
        ),
        (("main", ","), "--types ',': names no size"),
        (("main", "Q4_9"), "recipe main has no Q4_9"),
        (("bartowski", "Q4_K_M"), "recipe bartowski needs an importance matrix: --imatrix FILE"),
        (("main", "IQ2_M"), "needs an importance matrix: --imatrix FILE"),
        (("main", "Q4_0", "--imatrix", "none.gguf"), "none.gguf: cannot be read"),
        (("guided", "Q4_K_M"), "recipe guided measures the model on a text: --text FILE"),
        (("guided", "UD-Q4_K_XL", "--text", "builtin"), "recipe guided has no UD-Q4_K_XL"),
        (("main", "Q4_0", "--text", "builtin"), "--text builtin: recipe main does not measure the model"),
        (("guided", "Q4_0", "--text", "builtin", "--device", "tpu"), "--device tpu: known: auto, cpu, cuda"),
        (("guided", "Q4_0", "--target-bpw", "4.5"), "--types Q4_0: has no effect beside a target"),
        (("bartowski", "Q4_K_M", "--rescale"), "recipe bartowski needs an importance matrix: --imatrix FILE"),
        (("main", "IQ2_M", "--rescale"), "needs an importance matrix: --imatrix FILE"),
        (("none", "Q4_0", "--rescale"), "--recipe none: no such file or recipe"),
    ],
)
def test_wrong_requests_are_one_line_and_leave_nothing(evaluate, tiny_path, tmp_path, arguments, message):
    status, _, error = evaluate(*quantize(tiny_path, tmp_path / "q", *arguments))
    assert status == 2
    assert message in " ".join(error.strip().splitlines()[-1].split())
    assert not (tmp_path / "q").exists()


def test_a_folder_that_cannot_be_written(evaluate, tiny_path, text_path, tmp_path):
    (tmp_path / "file").write_text("in the way")
    status, _, error = evaluate(*quantize(tiny_path, tmp_path / "file" / "q"))
    assert (status, error.splitlines()[-1].endswith("q: cannot be written: Not a directory")) == (2, True)
    flags = ["--baseline", tiny_path, "--text", text_path, "--device", "cpu", "--context", 16, "--out"]
    status, _, error = evaluate("imatrix", *flags, tmp_path / "file" / "i.gguf")
    assert (status, "cannot be written: " in error) == (2, True)
    assert evaluate("imatrix", *flags, tmp_path)[0] == 2


def test_what_is_read_is_not_written_to(evaluate, tiny_path, text_path, tmp_path):
    model = shutil.copy(tiny_path, tmp_path / "Tiny-Q8_0.gguf")
    before = {path: path.read_bytes() for path in (model, text_path)}
    link = tmp_path / "link.gguf"
    link.symlink_to(model)
    imatrix = ["imatrix", "--baseline", model, "--text", f"d={text_path}", "--device", "cpu", "--context", 16]
    types = ["inspect", model, "--tensor-types"]
    for arguments in (
        [*imatrix, "--out", text_path],
        [*imatrix, "--out", model],
        [*imatrix, "--out", link],
        [*types, model],
        [*quantize(model, tmp_path, "main", "Q8_0"), "--force"],
    ):
        status, _, error = evaluate(*arguments)
        assert (status, "is an input and would be overwritten" in error) == (2, True)
    assert {path: path.read_bytes() for path in before} == before


def test_rescaled_variants_are_told_by_the_source_before_anything_is_written(evaluate, tmp_path):
    """With the rescaled file gone, too: its variants are known without it."""
    source = write_tiny_llama(tmp_path / "Tiny-Q8_0.gguf", ggml_type=gguf.GGMLQuantizationType.Q8_0)
    (tmp_path / "o").mkdir()
    other = write_tiny_llama(tmp_path / "o" / "Tiny-Q8_0.gguf", seed=1)
    out, rescaled = tmp_path / "q", tmp_path / "q" / "Tiny-rescaled-F16.gguf"
    assert evaluate(*quantize(source, out, "main", "Q4_0", "--rescale"))[0] == 0
    rescaled.unlink()
    status, _, error = evaluate(*quantize(other, out, "main", "Q4_0", "--rescale"))
    assert (status, "Tiny-rescaled-Q4_0.gguf: was made from another source" in error) == (2, True)
    assert not rescaled.exists()
    status, _, error = evaluate(*quantize(source, out, "main", "Q4_0", "--rescale"))
    assert (status, "Tiny-rescaled-Q4_0.gguf: already exists" in error) == (0, True)


@pytest.mark.parametrize("more", [(), ("--rescale",)])
def test_a_disk_without_room(evaluate, tiny_path, tmp_path, monkeypatch, more):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    status, _, error = evaluate(*quantize(tiny_path, tmp_path / "q", "main", "Q4_0,Q8_0", *more))
    assert status == 2
    assert "MB are needed, 0 MB are free" in error
    assert list((tmp_path / "q").iterdir()) == []


def test_baseline_that_is_damaged(evaluate, tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF\x03")
    status, _, error = evaluate(*quantize(tmp_path / "m.gguf", tmp_path / "q"))
    assert status == 2
    assert "baseline" in error
    assert "m.gguf" in error


def test_imatrix_on_an_unknown_device(evaluate, tiny_path, text_path, tmp_path):
    flags = ["--baseline", tiny_path, "--text", text_path, "--out", tmp_path / "i.gguf", "--device", "tpu"]
    status, _, error = evaluate("imatrix", *flags)
    assert status == 2
    assert "--device tpu: known: auto, cpu, cuda" in error
