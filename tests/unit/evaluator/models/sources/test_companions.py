"""Files beside models that are no models: a glob skips them with a line; naming one is a clear error."""

from __future__ import annotations

import struct
from dataclasses import replace

import gguf
import numpy as np
import pytest
from hub_server import hub_server
from tiny_models import write_tiny_llama

from evaluator.models.sources.companions import companions_by_name
from evaluator.models.sources.hub import Hub
from evaluator.models.sources.hub_source import HubSource, chosen_files
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_source
from evaluator.planning.config import Comparison
from evaluator.planning.plan import make_plan
from evaluator.quantize.imatrix import write_imatrix
from evaluator.support.errors import RequestError, SourceError


def write_gguf(path, architecture, kind=None, *, tensors=1, metadata=()):
    writer = gguf.GGUFWriter(str(path), architecture)
    if kind:
        writer.add_type(kind)
    for key, value in metadata:
        writer.add_string(key, value)
    for number in range(tensors):
        writer.add_tensor(f"t.{number}.weight", np.ones((2, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_dat(path, _=None):
    path.write_bytes(struct.pack("<ii", 1, 1) + b"x" + struct.pack("<iif", 1, 1, 1.0))
    return path


COMPANIONS = {
    "a vision or audio projector": [
        lambda path: write_gguf(path, "clip"),
        lambda path: write_gguf(path, "clip", "mmproj"),
    ],
    "an importance matrix": [
        lambda path: write_imatrix(path, {"blk.0.attn_q.weight": np.ones(32)}, 8, 8, ["t"]) or path,
    ],
    "a LoRA adapter": [lambda path: write_gguf(path, "llama", "adapter")],
    "a draft model": [lambda path: write_gguf(path, "eagle3")],
    "a vocabulary without weights": [
        lambda path: write_gguf(path, "llama", tensors=0),
        lambda path: write_gguf(path, "llama", "vocab", tensors=0),
    ],
}
CASES = [(what, write) for what, writers in COMPANIONS.items() for write in writers]


@pytest.fixture
def folder(tmp_path):
    for kind in ("Q4_0", "Q8_0"):
        write_tiny_llama(tmp_path / f"Tiny-{kind}.gguf", ggml_type=gguf.GGMLQuantizationType[kind])
    return tmp_path


@pytest.mark.parametrize(("what", "write"), CASES)
def test_a_glob_leaves_it_out_with_a_line_and_its_own_name_gets_an_error(folder, what, write):
    path = write(folder / "beside.gguf")  # recognized by its header, not by its name
    said = []
    models = resolve_source(f"{folder}/*.gguf", skip=said.append)
    assert [model.name for model in models] == ["Tiny-Q4_0.gguf", "Tiny-Q8_0.gguf"]
    assert said == [f"skipped: beside.gguf is {what}"]
    with pytest.raises(SourceError, match=f"is {what}, not a language model"):
        open_model(resolve_source(str(path))[0])
    with pytest.raises(RequestError, match=f"matches no language model: beside.gguf is {what}"):
        resolve_source(f"{folder}/bes*.gguf")


def test_other_files_in_a_glob_are_no_models_and_damaged_ones_are(folder):
    write_dat(folder / "imatrix.dat")
    (folder / "README.md").write_text("text")
    (folder / "cut.gguf").write_bytes((folder / "Tiny-Q4_0.gguf").read_bytes()[:40])
    (folder / "empty.gguf").touch()
    said = []
    models = resolve_source(f"{folder}/*", skip=said.append)
    assert [model.name for model in models] == ["Tiny-Q4_0.gguf", "Tiny-Q8_0.gguf", "cut.gguf", "empty.gguf"]
    assert said == ["skipped: README.md is no GGUF file", "skipped: imatrix.dat is no GGUF file"]


def test_a_draft_is_known_by_its_name_where_others_lack_the_word(folder):
    write_tiny_llama(folder / "Tiny-draft-Q4_0.gguf")
    said = []
    assert len(resolve_source(f"{folder}/*.gguf", skip=said.append)) == 2
    [line] = said
    assert (
        line == "skipped: Tiny-draft-Q4_0.gguf is a draft model by its name; to use it, name the file in full"
    )
    assert [path.name for path in resolve_source(f"{folder}/*draft*.gguf")] == ["Tiny-draft-Q4_0.gguf"]
    assert len(resolve_source(str(folder / "Tiny-draft-Q4_0.gguf"))) == 1


def test_a_name_does_not_make_a_model_a_projector(folder):
    (folder / "Tiny-Q8_0.gguf").rename(folder / "Tiny-mmproj-lora-Q8_0.gguf")
    assert len(resolve_source(f"{folder}/*.gguf")) == 2


def test_a_plan_says_what_it_skips_and_no_variant_fails(folder):
    text = folder / "text.txt"
    text.write_text("the theme of the thing is in the other letter " * 40)
    write_gguf(folder / "mmproj.gguf", "clip")
    comparison = Comparison(
        baseline=str(folder / "Tiny-Q8_0.gguf"),
        variants=[f"main={folder}/*.gguf"],
        texts=[str(text)],
        out=folder / "out",
        context=16,
        device="cpu",
    )
    plan = make_plan(comparison)
    assert (len(plan.variants), plan.failures) == (2, ())
    assert plan.skipped == ("skipped: mmproj.gguf is a vision or audio projector",)


def test_two_variants_of_one_method_and_type_are_told_apart_by_their_files(folder):
    text = folder / "text.txt"
    text.write_text("the theme of the thing is in the other letter " * 40)
    (folder / "other").mkdir()
    write_tiny_llama(folder / "other" / "Tiny-Q4_0.gguf", seed=1)
    write_tiny_llama(folder / "Twin-Q8_0.gguf", seed=2)
    comparison = Comparison(
        baseline=str(folder / "Tiny-Q8_0.gguf"),
        variants=[f"main={folder}/*.gguf", f"main={folder}/other/*.gguf", f"own={folder}/Tiny-Q4_0.gguf"],
        texts=[str(text)],
        out=folder / "out",
        context=16,
        device="cpu",
    )
    assert [item.label for item in make_plan(comparison).variants] == [
        f"main Q4_0 ({folder}/Tiny-Q4_0.gguf)",
        "main Q8_0 (Tiny-Q8_0.gguf)",
        "main Q8_0 (Twin-Q8_0.gguf)",
        f"main Q4_0 ({folder}/other/Tiny-Q4_0.gguf)",
        "own Q4_0",
    ]


BESIDE = [
    "mmproj-F16.gguf",
    "X.mmproj-Q8_0.gguf",
    "X-mmproj.gguf",
    "X-imatrix.gguf",
    "X.imatrix.gguf",
    "imatrix-X-Q8_0.gguf",
    "imatrix_unsloth.gguf",
    "MTP/mtp-X-Q4_0.gguf",
    "X-draft-Q4_0.gguf",
    "X-MTP.gguf",
    "X-eagle3-Q8_0.gguf",
    "X-lora-F16.gguf",
    "ggml-vocab-X.gguf",
]


@pytest.mark.parametrize("name", BESIDE)
def test_a_name_on_the_hub_says_so_wherever_the_word_stands(name):
    names, source = ["X-Q4_K_M.gguf", name], HubSource("a/b", "main", None)
    said = []
    assert chosen_files(source, names) == ["X-Q4_K_M.gguf"]
    assert chosen_files(replace(source, pattern="*.gguf"), names, said.append) == ["X-Q4_K_M.gguf"]
    [line] = said
    assert line.endswith("by its name; to use it, name the file in full")
    assert chosen_files(replace(source, pattern=name), names) == [name]


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["X-MTP-Q4_0.gguf", "X-MTP-Q8_0.gguf", "mmproj-F16.gguf"], "*.gguf"),
        (["eagle-7b-Q4_0.gguf", "eagle-7b-Q8_0.gguf"], "*"),
        (["X-imatrix-Q4_K_M.gguf", "X-imatrix-UD-Q8_K_XL.gguf"], "*"),
        (["Drafting-Clipper-Q4_0.gguf", "Other-Q8_0.gguf"], "*"),
    ],
)
def test_a_word_that_all_models_carry_or_that_is_asked_for_is_part_of_a_name(names, pattern):
    models = [name for name in names if not name.startswith("mmproj")]
    assert not set(companions_by_name(names, pattern)) & set(models)


def test_a_repository_of_companions_alone_is_refused_without_a_download(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path))
    with hub_server() as server:
        server.repos["a/b"] = {"X.mmproj-Q8_0.gguf": b"vision", "X-imatrix.gguf": b"matrix"}
        hub = Hub(server.endpoint, tmp_path / "hub")
        for source in ("hf:a/b/*.gguf", "hf:a/b"):
            with pytest.raises(
                RequestError, match=r"matches no language model: X-imatrix\.gguf is an importance"
            ):
                hub.models(HubSource.parse(source), lambda _: None)
        assert server.ranges("X-imatrix.gguf") == server.ranges("X.mmproj-Q8_0.gguf") == []


def test_what_only_the_header_tells_is_left_out_after_the_download(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "cache"))
    with hub_server() as server:
        vision = write_gguf(folder / "vision.gguf", "clip").read_bytes()
        server.repos["a/b"] = {"X-Q4_0.gguf": (folder / "Tiny-Q4_0.gguf").read_bytes(), "vision.gguf": vision}
        monkeypatch.setattr(
            "evaluator.models.sources.resolve.Hub", lambda: Hub(server.endpoint, tmp_path / "hub")
        )
        said = []
        assert [path.name for path in resolve_source("hf:a/b/*.gguf", skip=said.append)] == ["X-Q4_0.gguf"]
        assert said == ["skipped: vision.gguf is a vision or audio projector"]


def test_inspect_shows_models_and_says_what_it_skips(evaluate, folder):
    write_gguf(folder / "beside.gguf", "clip")
    status, out, _ = evaluate("inspect", f"{folder}/*.gguf")
    assert status == 0
    assert "skipped: beside.gguf is a vision" in " ".join(out.split())
    status, _, error = evaluate("inspect", folder / "beside.gguf")
    assert status == 2
    assert "beside.gguf: is a vision or audio projector, not a language model" in error
