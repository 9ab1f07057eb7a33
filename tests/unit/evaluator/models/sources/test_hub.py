"""The hub, with a local test server: downloads, resumed downloads, offline use, and errors."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_server import hub_server
from tiny_checkpoints import random_model, save_checkpoint

from evaluator.models.naming import model_name
from evaluator.models.sources import hub as hub_module
from evaluator.models.sources.hub import Hub
from evaluator.models.sources.hub_source import HubSource
from evaluator.models.sources.open_model import open_model
from evaluator.support.errors import RequestError

REPO, SHARDED = "someone/Tiny-GGUF", "someone/Tiny-Sharded"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def server():
    with hub_server() as state:
        yield state


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "notes"))
    return Hub(server.endpoint, tmp_path / "hub")


@pytest.fixture
def ggufs(server, tiny_path):
    """Return a repository like a publisher's, with small files."""
    content = tiny_path.read_bytes()
    names = [
        "Tiny-Q4_K_M.gguf",
        "Tiny-Q8_0.gguf",
        "big/Tiny-F16-00001-of-00002.gguf",
        "big/Tiny-F16-00002-of-00002.gguf",
    ]
    server.repos[REPO] = {name: content + name.encode() for name in names}
    server.repos[REPO] |= {"mmproj-Tiny-F16.gguf": b"vision", "README.md": b"text"}
    return server.repos[REPO]


def models(hub, source, said=None):
    return hub.models(HubSource.parse(source), said.append if said is not None else lambda _: None)


def test_glob_gives_its_models_and_fetches_nothing_else(hub, server, ggufs):
    said = []
    paths = models(hub, f"hf:{REPO}/*Q*.gguf", said)
    assert [path.name for path in paths] == ["Tiny-Q4_K_M.gguf", "Tiny-Q8_0.gguf"]
    assert [path.read_bytes() for path in paths] == [ggufs[path.name] for path in paths]
    assert {path.rpartition("/")[2] for method, path, _ in server.requests if method == "GET"} == {
        "main", "Tiny-Q4_K_M.gguf", "Tiny-Q8_0.gguf"
    }  # fmt: skip
    assert said[0].startswith("fetching Tiny-Q4_K_M.gguf (")
    assert "1 of 2" in said[0]


def test_part_of_a_split_model_brings_the_others(hub, ggufs):
    for pattern in ("big/*", "*00002-of*", "*F16*"):
        (first,) = models(hub, f"hf:{REPO}/{pattern}")
        assert first.name == "Tiny-F16-00001-of-00002.gguf"
        assert first.with_name("Tiny-F16-00002-of-00002.gguf").is_file()


def test_several_models_want_a_glob_and_a_wrong_one_gets_near_names(hub, ggufs):
    with pytest.raises(
        RequestError, match=r"name a glob, for instance hf:someone/Tiny-GGUF/Tiny-Q4_K_M\.gguf"
    ):
        models(hub, f"hf:{REPO}")
    with pytest.raises(RequestError, match=r"no GGUF file matches; did you mean Tiny-Q4_K_M\.gguf"):
        models(hub, f"hf:{REPO}/tiny-Q4_K_L.gguf")


def test_checkpoint_repository_becomes_a_model_named_after_it(hub, server, tmp_path):
    folder = save_checkpoint(random_model("llama", num_hidden_layers=1), tmp_path / "m")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    server.repos["someone/Tiny-Llama-1B"] = files | {"pytorch_model.bin": b"pickle", "onnx/model.onnx": b"x"}
    (path,) = models(hub, "hf:someone/Tiny-Llama-1B")
    file = open_model(path)
    assert (model_name(file), file.n_params) == ("Tiny-Llama-1B", open_model(folder).n_params)
    assert server.ranges("pytorch_model.bin") == server.ranges("model.onnx") == []


@pytest.fixture
def sharded(server, tmp_path):
    """Return the files of a repository that holds the weights twice, like Mistral's."""
    model = random_model("llama", num_hidden_layers=1)
    folder = save_checkpoint(model, tmp_path / "m", max_shard_size="40KB")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    server.repos[SHARDED] = files | {"consolidated.safetensors": b"the same again", "x-9.safetensors": b"old"}
    return server.repos[SHARDED]


def test_of_a_split_checkpoint_the_files_of_its_index_are_fetched(hub, server, sharded):
    (path,) = models(hub, f"hf:{SHARDED}")
    named = set(json.loads(sharded[INDEX])["weight_map"].values())
    assert len(named) > 1
    assert {item.name for item in path.glob("*.safetensors")} == named
    assert server.ranges("consolidated.safetensors") == server.ranges("x-9.safetensors") == []
    assert open_model(path).n_params > 0


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a": "../../evil.safetensors"}}, "not a plain file name"),
        ({"weight_map": {"a": "/etc/passwd"}}, "not a plain file name"),
        ({"weight_map": {"a": "model-9.safetensors"}}, r"holds no model-9\.safetensors, which its .* names"),
        ({"weight_map": ["a"]}, "weight_map is .* not an object"),
        ([], "does not hold a JSON object"),
    ],
)
def test_index_that_leads_astray_is_refused_before_weights_are_fetched(hub, server, sharded, index, message):
    sharded[INDEX] = json.dumps(index).encode()
    with pytest.raises(RequestError, match=rf"hf:{SHARDED}: .*{message}"):
        models(hub, f"hf:{SHARDED}")
    assert not [path for method, path, _ in server.requests if method == "GET" and "safetensors" in path
                and not path.endswith(INDEX)]  # fmt: skip


def test_split_checkpoint_is_found_again_without_a_network(tmp_path, monkeypatch, sharded):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "notes"))
    with hub_server() as server:
        server.repos[SHARDED] = sharded
        hub = Hub(server.endpoint, tmp_path / "hub")
        fetched = models(hub, f"hf:{SHARDED}")
    assert models(hub, f"hf:{SHARDED}") == fetched


def test_weights_of_no_known_name_are_not_fetched(hub, server):
    server.repos[SHARDED] = {"config.json": b"{}", "consolidated.safetensors": b"gigabytes"}
    with pytest.raises(RequestError, match="holds neither a GGUF file nor a checkpoint"):
        models(hub, f"hf:{SHARDED}")
    assert server.ranges("consolidated.safetensors") == []


def test_broken_download_goes_on_where_it_broke_off(hub, server):
    content = bytes(range(256)) * 80_000  # twice what the library reads at once
    server.repos[REPO] = {"Tiny-Q8_0.gguf": content}
    server.cut["Tiny-Q8_0.gguf"] = 15_000_000
    (path,) = models(hub, f"hf:{REPO}/*.gguf")
    assert path.read_bytes() == content
    first, second = server.ranges("Tiny-Q8_0.gguf")
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 15_000_000


def test_second_time_nothing_is_fetched_and_a_new_commit_is(hub, server, ggufs):
    (before,) = models(hub, f"hf:{REPO}/*Q8_0.gguf")
    assert models(hub, f"hf:{REPO}/*Q8_0.gguf") == [before]
    assert len(server.ranges("Tiny-Q8_0.gguf")) == 1
    ggufs["Tiny-Q8_0.gguf"] += b"changed"
    (after,) = models(hub, f"hf:{REPO}/*Q8_0.gguf")
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (before, after)]
    assert digests[0] != digests[1]


def test_without_a_network_the_cache_serves_what_is_complete(tiny_path, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "notes"))
    with hub_server() as server:
        server.repos[REPO] = dict.fromkeys(("Tiny-Q4_K_M.gguf", "Tiny-Q8_0.gguf"), tiny_path.read_bytes())
        hub = Hub(server.endpoint, tmp_path / "hub")
        fetched = models(hub, f"hf:{REPO}/*Q8_0.gguf")
    said = []
    assert models(hub, f"hf:{REPO}/*Q8_0.gguf", said) == fetched
    assert said == [f"hf:{REPO}: the hub cannot be reached; using the last known state of the repository"]
    with pytest.raises(RequestError, match=r"1 of 2 files are not in the cache \(Tiny-Q4_K_M\.gguf\)"):
        models(hub, f"hf:{REPO}/*Q*.gguf")
    with pytest.raises(
        RequestError, match=r"cannot be reached \(ConnectionError\), and it was not downloaded"
    ):
        models(hub, "hf:someone/Other/*.gguf")


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((403, "GatedRepo"), r"is gated: accept its terms .* then run `hf auth login` or set HF_TOKEN"),
        ((401, ""), "no such model, or it is private"),
        ((404, "RepoNotFound"), "no such model, or it is private"),
        ((429, ""), "too many requests to the hub"),
        ((400, ""), "cannot be downloaded"),
    ],
)
def test_refusal_is_one_line_with_the_way_out(hub, server, ggufs, refusal, message):
    server.refusals[REPO] = refusal
    with pytest.raises(RequestError, match=message) as caught:
        models(hub, f"hf:{REPO}/*Q8_0.gguf")
    assert str(caught.value).startswith(f"hf:{REPO}: ")


def test_request_that_is_refused_in_the_middle_of_several_files_keeps_the_first(hub, server, ggufs):
    server.refused_files["Tiny-Q8_0.gguf"] = 429
    with pytest.raises(RequestError, match="too many requests to the hub"):
        models(hub, f"hf:{REPO}/*Q*.gguf")
    del server.refused_files["Tiny-Q8_0.gguf"]
    assert len(models(hub, f"hf:{REPO}/*Q*.gguf")) == 2
    assert len(server.ranges("Tiny-Q4_K_M.gguf")) == 1


@pytest.mark.parametrize("refusal", [(400, ""), (401, ""), (403, "GatedRepo"), (429, "")])
def test_token_is_sent_and_never_shown(hub, server, ggufs, monkeypatch, caplog, capfd, refusal):
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    server.refusals[REPO] = refusal
    said = []
    with pytest.raises(RequestError) as caught:
        models(hub, f"hf:{REPO}/*Q8_0.gguf", said)
    shown = "".join([str(caught.value), *said, caplog.text, *capfd.readouterr()])
    assert server.tokens[-1] == "Bearer hf_secretsecret"
    assert "secret" not in shown


def test_names_that_lead_out_of_the_cache_are_not_seen(hub, server, tiny_path, tmp_path):
    content = tiny_path.read_bytes()
    server.repos[REPO] = {
        "../../../../../evil-Q8_0.gguf": content,
        "/tmp/evil.gguf": content,
        "m.gguf": content,
    }
    assert [path.name for path in models(hub, f"hf:{REPO}/*")] == ["m.gguf"]
    assert not list(tmp_path.rglob("evil*"))


def test_missing_revision_is_named(hub, ggufs):
    with pytest.raises(RequestError, match=r"has no revision 'v9' \(a slash in a name is written %2F\)"):
        models(hub, f"hf:{REPO}@v9/*.gguf")


@pytest.mark.parametrize(("written", "revision"), [("refs/pr/1", "refs/pr/1"), ("try%2Fthis", "try/this")])
def test_revision_with_slashes_is_fetched(hub, server, ggufs, written, revision):
    server.branches.add(revision)
    (path,) = models(hub, f"hf:{REPO}@{written}/Tiny-Q8_0.gguf")
    assert path.read_bytes() == ggufs["Tiny-Q8_0.gguf"]


def test_fault_of_the_hub_is_told_as_one_and_tried_again_only_by_the_library(hub, server, ggufs, monkeypatch):
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda _: None))
    fetch, calls = hub_module.hf_hub_download, []
    monkeypatch.setattr(hub_module, "hf_hub_download", lambda *a, **k: (calls.append(a), fetch(*a, **k))[1])
    server.refused_files["Tiny-Q8_0.gguf"] = 500
    message = r"the hub has a fault \(status 500\); run the same command again later"
    with pytest.raises(RequestError, match=message):
        models(hub, f"hf:{REPO}/*Q8_0.gguf")
    assert len(calls) == 1


def test_command_line_reads_the_endpoint_from_the_environment(server, ggufs, tmp_path):
    server.repos[REPO]["Tiny-Q8_0.gguf"] = ggufs["Tiny-Q8_0.gguf"]
    environment = {
        "HF_ENDPOINT": server.endpoint,
        "HF_HOME": str(tmp_path),
        "EVALUATOR_CACHE": str(tmp_path / "c"),
    }
    command = [sys.executable, "-m", "evaluator", "inspect", f"hf:{REPO}/*Q8_0.gguf", "--json"]
    root = Path(__file__).parents[5]
    result = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert '"quant": "Q8_0"' in result.stdout
