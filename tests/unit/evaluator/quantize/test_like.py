"""Following the types of a published file."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as GGMLType
from hub_server import hub_server

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources import hub_header
from evaluator.models.sources.hub import Hub
from evaluator.quantize.batch import Evidence, draft_jobs, select
from evaluator.quantize.like import choice_like
from evaluator.quantize.type_plan import make_plan
from evaluator.support.errors import RequestError

SHAPES = {
    "token_embd.weight": (8, 256),
    "blk.0.ffn_norm.weight": (256,),
    "blk.0.ffn_down_exps.weight": (4, 2, 256),
    "blk.0.ffn_gate_inp.weight": (4, 256),
    "blk.0.ssm_conv1d.weight": (8, 4),
}
#: A recipe that no rule of llama.cpp makes.
TYPES = {
    "token_embd.weight": "Q5_K",
    "blk.0.ffn_down_exps.weight": "MXFP4",
    "blk.0.ffn_gate_inp.weight": "BF16",
    "blk.0.ssm_conv1d.weight": "F16",
}


def write(path, types=None, shapes=SHAPES, *, architecture="qwen3moe", rows=1, file_type=15, **metadata):
    """Write a model whose matrices have the given types and zeros for weights."""
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_uint32(f"{architecture}.block_count", 1)
    if file_type is not None:
        writer.add_file_type(file_type)
    for key, value in metadata.items():
        writer.add_string(f"quantize.imatrix.{key}", value)
    for name, shape in shapes.items():
        kind = GGMLType[(types or {}).get(name, "F32")]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        outer = (shape[0] * rows, *shape[1:-1]) if name == "token_embd.weight" else shape[:-1]
        if kind == GGMLType.F32:
            writer.add_tensor(name, np.random.default_rng(1).standard_normal((*outer, shape[-1]), np.float32))
        else:
            writer.add_tensor(name, np.zeros((*outer, shape[-1] // block * size), np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def baseline(tmp_path):
    return open_gguf(write(tmp_path / "base.gguf"))


def test_types_tensor_by_tensor_and_label_and_file_type(tmp_path, baseline):
    published = write(tmp_path / "Tiny-UD-Q4_K_XL.gguf", TYPES)
    [choice] = select(f"like:{published}", [])
    plan = make_plan(baseline, choice, None)
    assert {name: kind.name for name, kind in plan.items()} == {**TYPES, "blk.0.ffn_norm.weight": "F32"}
    assert (choice.label, choice.file_type) == ("UD-Q4_K_XL", gguf.LlamaFileType.MOSTLY_Q4_K_M)


def test_a_file_without_a_file_type(tmp_path):
    published = write(tmp_path / "Tiny.gguf", TYPES, file_type=None)
    choice = choice_like(f"like:{published}")
    assert (choice.label, choice.file_type) == ("Q5_K", gguf.LlamaFileType.GUESSED)


def test_only_ranges_of_a_file_on_the_hub(tmp_path, baseline, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "notes"))
    monkeypatch.setattr(hub_header, "_FIRST_BYTES", 4096)
    name = "Tiny-Q4_K_M.gguf"
    published = write(tmp_path / name, {**TYPES, "token_embd.weight": "Q8_0"}, rows=1000)
    data = published.read_bytes()
    with hub_server() as server:
        server.repos["some/one"] = {name: data}
        choice = choice_like(f"like:hf:some/one/{name}", hub=Hub(server.endpoint, tmp_path / "hub"))
        assert server.sent == [(name, 4096)]
    assert len(data) > 2_000_000
    with pytest.raises(
        RequestError, match=r"token_embd.weight is 8000 × 256 there, but 8 × 256 in the baseline"
    ):
        make_plan(baseline, choice, None)


def test_the_importance_matrix_is_said_not_to_be_followed(tmp_path):
    said = []
    published = write(tmp_path / "Tiny-Q4_0.gguf", TYPES, file="unsloth_calibration.txt")
    choice_like(f"like:{published}", said.append)
    assert (
        "was made with an importance matrix (unsloth_calibration.txt), which a file does not contain"
        in said[0]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "llama"}, "is a llama model, but .*base.gguf is qwen3moe"),
        ({"shapes": {**SHAPES, "output.weight": (8, 256)}}, "has output.weight, which .*base.gguf lacks"),
        (
            {"shapes": {name: SHAPES[name] for name in list(SHAPES)[:2]}},
            "lacks blk.0.ffn_down_exps.weight and 2 more tensors of .*base.gguf",
        ),
        (
            {"shapes": {**SHAPES, "blk.0.ffn_gate_inp.weight": (8, 256)}},
            "blk.0.ffn_gate_inp.weight is 8 × 256 there, but 4 × 256 in the baseline",
        ),
        (
            {"types": {"token_embd.weight": "Q1_0"}},
            "token_embd.weight is Q1_0 there, which cannot be made from F32 here",
        ),
        (
            {"types": {"blk.0.ffn_down_exps.weight": "IQ2_S"}},
            r"IQ2_S \(blk.0.ffn_down_exps.weight\) needs an importance matrix: --imatrix FILE",
        ),
        (
            {"types": {"blk.0.ffn_down_exps.weight": "Q2_K"}, "file_type": 21},
            r"Q2_K \(blk.0.ffn_down_exps.weight\) needs an importance matrix",
        ),
    ],
)
def test_files_that_cannot_be_followed(tmp_path, baseline, change, message):
    published = write(tmp_path / "Tiny-Q4_0.gguf", **{"types": TYPES, **change})
    with pytest.raises(RequestError, match=f"like:.*Tiny-Q4_0.gguf.*{message}"):
        make_plan(baseline, choice_like(f"like:{published}"), None)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "no such file or model"),
        (lambda path: path.write_bytes(b"GGUF"), "like:.*not a readable GGUF file"),
        (lambda path: write(path, TYPES, file_type=99), "its general.file_type, 99, is not known here"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, prepare, message):
    prepare(tmp_path / "x.gguf")
    with pytest.raises(RequestError, match=message):
        choice_like(f"like:{tmp_path / 'x.gguf'}")


def test_sizes_are_for_recipes_alone(tmp_path):
    with pytest.raises(RequestError, match="the file names its size; leave --types out"):
        select("like:x.gguf", ["Q4_0"])
    with pytest.raises(RequestError, match="name the sizes of recipe main"):
        select("main", [])


def test_the_followed_file_is_not_overwritten(tmp_path, baseline):
    published = write(tmp_path / "base-Q4_0.gguf", TYPES)
    with pytest.raises(RequestError, match=r"base-Q4_0.gguf"):
        draft_jobs(baseline, [choice_like(f"like:{published}")], tmp_path, Evidence(), replace=True)
