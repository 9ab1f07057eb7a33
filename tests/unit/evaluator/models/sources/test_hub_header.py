"""Headers of files on the hub: what is requested, and what is wrong with them."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from hub_server import hub_server

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.naming import quant_label
from evaluator.models.sources import hub_header
from evaluator.models.sources.hub import Hub
from evaluator.models.sources.hub_header import open_hub_header
from evaluator.models.sources.hub_source import HubSource
from evaluator.support.errors import RequestError, SourceError

REPO, NAME = "someone/Tiny-GGUF", "Tiny-UD-Q4_K_XL.gguf"


@pytest.fixture
def server():
    with hub_server() as state:
        yield state


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "notes"))
    monkeypatch.setattr(hub_header, "_FIRST_BYTES", 4096)
    return Hub(server.endpoint, tmp_path / "hub")


def write_part(path, number=None, count=2, tokens=600, rows=4096):
    """Write a file of 1 MB with a header of 20 kB, or a part of a split model."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_token_list([f"token {index}" for index in range(tokens)])
    if number is not None:
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
    writer.add_tensor(f"blk.{number or 0}.ffn_up.weight", np.ones((rows, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def header(hub, pattern=NAME):
    return open_hub_header(HubSource.parse(f"hf:{REPO}/{pattern}"), hub)


def test_only_the_beginning_is_requested(server, hub, tmp_path):
    data = write_part(tmp_path / NAME)
    server.repos[REPO] = {NAME: data}
    found, expected = header(hub), open_gguf(tmp_path / NAME)
    assert found.tensors == expected.tensors
    assert found.metadata == expected.metadata
    assert quant_label(found) == "UD-Q4_K_XL"
    data_start = expected.tensors["blk.0.ffn_up.weight"].offset
    assert data_start <= sum(size for _, size in server.sent) <= 2 * data_start < len(data) // 20
    assert all(asked for _, path, asked in server.requests if NAME in path)
    starts = [int(asked.removeprefix("bytes=").partition("-")[0]) for asked in server.ranges(NAME)]
    assert starts == list(np.cumsum([0, *(size for _, size in server.sent)])[:-1])
    assert not list((tmp_path / "hub").rglob("*.gguf"))


def test_every_part_of_a_split_model(server, hub, tmp_path):
    names = [f"Tiny-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    server.repos[REPO] = {name: write_part(tmp_path / name, number) for number, name in enumerate(names)}
    found = header(hub, names[0])
    assert list(found.tensors) == ["blk.0.ffn_up.weight", "blk.1.ffn_up.weight"]
    assert quant_label(found) == "Q8_0"
    assert {name for name, _ in server.sent} == set(names)


def test_cached_files_are_not_requested(server, hub, tmp_path):
    server.repos[REPO] = {NAME: write_part(tmp_path / NAME)}
    hub.models(HubSource.parse(f"hf:{REPO}/{NAME}"), lambda _: None)
    server.requests.clear()
    assert list(header(hub).tensors) == ["blk.0.ffn_up.weight"]
    assert server.ranges(NAME) == []


def test_a_hub_that_is_not_reached(server, hub, tmp_path):
    server.repos[REPO] = {NAME: write_part(tmp_path / NAME)}
    header(hub)
    server.refusals[REPO] = (503, "")
    with pytest.raises(
        RequestError, match=r"the hub cannot be reached, and Tiny-UD-Q4_K_XL.gguf is not in the"
    ):
        header(hub)


def test_a_hub_that_sends_whole_files(server, hub, tmp_path):
    server.repos[REPO] = {NAME: write_part(tmp_path / NAME)}
    server.no_ranges.add(NAME)
    with pytest.raises(
        RequestError, match="the hub does not serve parts of it; download it and name the file"
    ):
        header(hub)


def test_refused_and_damaged_files(server, hub, tmp_path, monkeypatch):
    data = write_part(tmp_path / NAME)
    server.repos[REPO] = {NAME: data, "cut.gguf": data[:9000], "text.gguf": b"no model" * 1000}
    with pytest.raises(SourceError, match=r"cut.gguf: not a readable GGUF file: .*"):
        header(hub, "cut.gguf")
    server.sent.clear()
    with pytest.raises(SourceError, match="it does not begin with the letters GGUF"):
        header(hub, "text.gguf")
    assert [size for _, size in server.sent] == [4096]
    monkeypatch.setattr(hub_header, "_MOST_BYTES", 8192)
    with pytest.raises(RequestError, match="its header takes more than 0 MB"):
        header(hub)
    server.refused_files[NAME] = 403
    with pytest.raises(RequestError, match="there is no such model, or it is private"):
        header(hub)


def test_several_models(server, hub, tmp_path):
    data = write_part(tmp_path / NAME)
    server.repos[REPO] = {NAME: data, "Tiny-Q8_0.gguf": data}
    with pytest.raises(RequestError, match="2 models match; name one of them"):
        header(hub, "*.gguf")
    assert server.sent == []
