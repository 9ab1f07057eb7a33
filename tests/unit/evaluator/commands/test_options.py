"""The description of the options has every flag of the command line, with what it accepts."""

from __future__ import annotations

import json

import pytest
import typer

from evaluator import cli
from evaluator.commands.options import described
from evaluator.engines import ENGINES


@pytest.fixture(scope="module")
def commands():
    return described({"run": cli.run, "demo": cli.demo})["commands"]


@pytest.mark.parametrize("name", ["run", "demo"])
def test_every_parameter_of_the_command_line_is_described(commands, name):
    known = typer.main.get_command(cli.app).commands[name].params
    options = commands[name]["options"]
    assert [option["name"] for option in options] == [parameter.name for parameter in known]
    for option, parameter in zip(options, known, strict=True):
        assert option["flag"] == (parameter.opts[0] if parameter.opts[0].startswith("--") else None)
        assert option["repeated"] == parameter.multiple
        assert (option["kind"] == "flag") == bool(getattr(parameter, "is_flag", False))
        assert option["help"] == parameter.help
        assert (option["min"], option["max"]) == (parameter.min, parameter.max)
    assert commands[name]["help"] == typer.main.get_command(cli.app).commands[name].help


def test_kinds_defaults_and_known_values(commands):
    run = {option["name"]: option for option in commands["run"]["options"]}
    kinds = {name: run[name]["kind"] for name in ("out", "context", "memory", "baseline", "force")}
    assert kinds == {
        "out": "path",
        "context": "integer",
        "memory": "number",
        "baseline": "text",
        "force": "flag",
    }
    defaults = {name: run[name]["default"] for name in ("context", "device", "engines", "chunks", "force")}
    assert defaults == {
        "context": "512",
        "device": "auto",
        "engines": "llama.cpp,onnxruntime",
        "chunks": None,
        "force": None,
    }
    assert run["device"]["known"] == ["auto", "cpu", "cuda"]
    assert set(ENGINES.names()) < set(run["engines"]["known"])
    assert run["progress"]["known"] == ["text", "json"]
    assert "smollm2" in run["comparison"]["known"]
    assert next(item for item in commands["demo"]["options"] if item["name"] == "out")["default"] == (
        "demo_results"
    )


def test_the_command_prints_it(evaluate, commands):
    status, printed, said = evaluate("options")
    assert (status, said) == (0, "")
    assert json.loads(printed)["commands"] == commands
