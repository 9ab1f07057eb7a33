"""Tiny models that several tests share."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tiny_models import write_tiny_llama

from evaluator import cli
from evaluator.export.exact import graph
from evaluator.export.exact.graph import load_graph
from evaluator.models.gguf.reader import open_gguf


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory):
    return write_tiny_llama(tmp_path_factory.mktemp("tiny") / "Tiny-F32.gguf")


@pytest.fixture(scope="session")
def tiny(tiny_path):
    return open_gguf(tiny_path)


@pytest.fixture(scope="session")
def tiny_graph(tiny):
    """The tiny model's graph; exporting it takes some seconds, once."""
    return load_graph(tiny)


@pytest.fixture(scope="module")
def exporting_here():
    """Export graphs in this process, where torch is imported already: another one takes four seconds for that."""
    from evaluator.export.exporters.optimum_export import export

    def run_here(_module, request, folder):
        export(json.loads(Path(request).read_text(encoding="utf-8")), Path(folder))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "run_module", run_here)
        yield


@pytest.fixture
def two_rounds(monkeypatch):
    """Time two rounds, the fewest that take turns; `test_engine_run.py` times as many as a user does."""
    monkeypatch.setattr("evaluator.comparison.engine_run.ROUNDS", 2)


@pytest.fixture
def text_path(tmp_path):
    path = tmp_path / "prose.txt"
    path.write_text("The other day the rain in the north ran over the garden wall. " * 8, encoding="utf-8")
    return path


@pytest.fixture
def evaluate(monkeypatch, capsys):
    """Run the command line: arguments in, (exit status, stdout, stderr) out."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["evaluator", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code or 0, *capsys.readouterr()

    return call
