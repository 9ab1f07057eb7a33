"""Targets: the bytes that tensors may take, and what is wrong with a target."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hub_server import hub_server
from tiny_checkpoints import random_model, save_checkpoint
from tiny_models import write_tiny_llama

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.hub import Hub
from evaluator.models.sources.open_model import open_model
from evaluator.quantize.batch import Evidence, plan_jobs, select
from evaluator.quantize.target import Target, choice_for
from evaluator.quantize.variants import make_variant
from evaluator.support.errors import RequestError


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return open_gguf(write_tiny_llama(tmp_path_factory.mktemp("target") / "Tiny-F32.gguf"))


def test_bits_are_per_weight_of_all_tensors(source):
    weights = sum(info.n_elements for info in source.tensors.values())
    assert Target(bits=4.0).tensor_bytes(source) == weights // 2


def test_gigabytes_and_files_are_sizes_of_files_with_their_metadata(source):
    size = source.path.stat().st_size
    header = size - sum(info.n_bytes for info in source.tensors.values())
    for target in (Target(gigabytes=size / 1e9), Target(file=str(source.path))):
        assert size - header - 5000 < target.tensor_bytes(source) < size - header


def test_metadata_are_those_that_a_checkpoint_s_file_gets(tmp_path):
    """They are not as large as its tokenizer files."""
    source = open_model(save_checkpoint(random_model("llama"), tmp_path / "llama"))
    (choice,) = select("main", ["F16"])
    with ThreadPoolExecutor(1) as pool:
        (job,) = plan_jobs(source, [choice], tmp_path, Evidence(), pool)
        make_variant(source, job, pool)
    made = open_gguf(job.target)
    header = made.size_bytes - made.tensor_bytes
    left = Target(gigabytes=made.size_bytes / 1e9).tensor_bytes(source)
    assert left + header <= made.size_bytes < left + header + 5000


def test_no_or_one_target():
    assert Target.requested(None, None, None) is None
    assert Target.requested(None, 4.5, None) == Target(bits=4.5)
    with pytest.raises(RequestError, match="--target-size and --target-file: give one of them"):
        Target.requested(1.0, None, "a.gguf")
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(RequestError, match="must be a positive number"):
            Target.requested(wrong, None, None)


@pytest.mark.parametrize(("size", "nearest"), [(8.5, "Q8_0"), (6.6, "Q6_K"), (3.4, "Q2_K")])
def test_the_file_type_is_that_of_the_nearest_stock_mixture(source, size, nearest):
    choice = choice_for("guided", Target(bits=size), source, None)
    assert choice.file_type.name == f"MOSTLY_{nearest}"
    assert choice.label == f"{size:.2f}bpw"


def test_file_on_the_hub_is_not_downloaded_for_its_size(source, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "notes"))
    data, said = source.path.read_bytes(), []
    parts = {f"parts/Tiny-Q8_0-0000{number}-of-00002.gguf": data[:-number] for number in (1, 2)}
    with hub_server() as server:
        server.repos["some/one"] = {"Tiny.gguf": data, **parts}
        hub = Hub(server.endpoint, tmp_path / "hub")
        sizes = [
            Target(file=f"hf:some/one/{glob}").with_size(said.append, hub)
            for glob in ("Tiny.gguf", "parts/*")
        ]
        with pytest.raises(RequestError, match=r"--target-file hf:some/one/\*: 2 models match"):
            Target(file="hf:some/one/*").with_size(said.append, hub)
        assert server.sent == []
        assert not [path for _, path, _ in server.requests if path.endswith(".gguf")]
    assert sizes == [Target(gigabytes=n_bytes / 1e9) for n_bytes in (len(data), 2 * len(data) - 3)]
    assert sizes[0].tensor_bytes(source) == Target(file=str(source.path)).tensor_bytes(source)
    assert said[0] == "asking the hub for the size of hf:some/one/Tiny.gguf"


def test_checkpoint_on_the_hub_has_the_size_of_its_files(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "notes"))
    for name, more in (("whole", {}), ("shards", {"max_shard_size": "40KB"})):
        folder = save_checkpoint(random_model("llama", num_hidden_layers=1), tmp_path / name, **more)
        with hub_server() as server:
            server.repos["some/one"] = {path.name: path.read_bytes() for path in folder.iterdir()}
            target = Target(file="hf:some/one").with_size(hub=Hub(server.endpoint, tmp_path / "hub"))
            assert not [path for _, path, _ in server.requests if path.endswith(".safetensors")]
        assert target == Target(gigabytes=open_model(folder).size_bytes / 1e9)
