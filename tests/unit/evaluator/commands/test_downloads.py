"""Every command that fetches a SRC says so on stderr, and `--json` alone has stdout."""

from __future__ import annotations

import json

import pytest
from hub_server import hub_server

from evaluator.models.sources import resolve
from evaluator.models.sources.hub import Hub

REPO, NAME = "someone/Tiny-GGUF", "Tiny-F32.gguf"
SOURCE = f"hf:{REPO}/{NAME}"
FETCHING = f"fetching {NAME} ("


@pytest.fixture
def server(tiny_path, tmp_path, monkeypatch):
    """A hub with one file."""
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "notes"))
    with hub_server() as state:
        monkeypatch.setattr(resolve, "Hub", lambda: Hub(state.endpoint, tmp_path / "hub"))
        state.repos[REPO] = {NAME: tiny_path.read_bytes()}
        yield state


@pytest.mark.parametrize(
    "command",
    [
        ["quantize", "--baseline", SOURCE, "--recipe", "main", "--types", "Q4_0"],
        ["imatrix", "--baseline", SOURCE, "--text", "missing.txt"],
        ["export", SOURCE],
    ],
)
def test_command_says_what_it_fetches(evaluate, server, tmp_path, command):
    assert FETCHING in evaluate(*command, "--out", tmp_path / "out")[2]


def test_baseline_of_a_receipt_too(evaluate, server, tiny_path, tmp_path):
    flags = ["--weights", "packed", "--baseline", SOURCE, "--out", tmp_path / "out"]
    assert FETCHING in evaluate("export", tiny_path, *flags)[2]


@pytest.mark.parametrize("others", [[], [SOURCE]])
def test_json_has_stdout_for_itself(evaluate, server, others):
    status, out, error = evaluate("inspect", SOURCE, *others, "--json")
    assert (status, FETCHING in error) == (0, True)
    assert json.loads(out)
