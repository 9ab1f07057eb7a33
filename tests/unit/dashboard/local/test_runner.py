"""One run at a time: the real evaluator measures a tiny model, is stopped, and goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dashboard.local import LocalError
from dashboard.local.command import arguments_of
from dashboard.local.options import Options
from dashboard.local.runner import Runner

#: Seconds after which a run that says nothing hangs.
HANGS = 300
STATE = Callable[[dict[str, Any]], bool]


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


def start(runner: Runner, options: Options, **values: object) -> None:
    given = {"context": "16", "threads": "1", "device": "cpu", "no_speed": True, "engines": "onnxruntime"}
    request = {"command": "run", "values": given | values}
    runner.start(arguments_of(*options.command("run"), request["values"]), request)


def files(tiny: Path, out: Path, **more: object) -> dict[str, object]:
    model = str(tiny / "Tiny-F32.gguf")
    named = {"baseline": model, "variant": [f"m={model}"], "text": [str(tiny / "prose.txt")], "out": str(out)}
    return named | more


def wait(runner: Runner, until: STATE) -> dict[str, Any]:
    end = time.monotonic() + HANGS
    while time.monotonic() < end:
        state = runner.state()
        if until(state):
            return state
        time.sleep(0.02)
    raise AssertionError(f"hangs: {runner.state()}")


def ended(state: dict[str, Any]) -> bool:
    return state["state"] not in ("running", "stopping")


def test_nothing_is_running_at_first(runner: Runner) -> None:
    assert runner.state() == {"state": "idle"}
    assert runner.progress is None
    with pytest.raises(LocalError, match="no measurement"):
        runner.stop()


def test_a_tiny_model_is_measured(runner: Runner, options: Options, tiny: Path, tmp_path: Path) -> None:
    start(runner, options, **files(tiny, tmp_path / "out"))
    with pytest.raises(LocalError, match="a measurement is running") as refused:
        start(runner, options, **files(tiny, tmp_path / "other"))
    assert refused.value.status == 409
    state = wait(runner, ended)
    assert (state["state"], state["error"]) == ("done", "")
    assert state["out"] == str(tmp_path / "out")
    assert state["stages"] == ["reading files and texts", "scoring files", "comparing variants"]
    assert [(file["name"], file["share"]) for file in state["files"]] == [
        ("baseline F32", 1.0),
        ("m F32", 1.0),
        ("noise floor", 1.0),
    ]
    assert state["tokens"] == state["total"] > 0
    assert state["command"].startswith("python -m evaluator run ")
    assert state["request"]["values"]["context"] == "16"
    assert pl.read_parquet(tmp_path / "out" / "variants.parquet").height == 2
    assert not (tmp_path / "other").exists()


def test_the_error_sentence_is_the_evaluators(
    runner: Runner, options: Options, tiny: Path, tmp_path: Path
) -> None:
    start(runner, options, **files(tiny, tmp_path / "out", baseline=str(tmp_path / "no.gguf")))
    state = wait(runner, ended)
    assert state["state"] == "failed"
    assert "no.gguf: no such file" in state["error"]
    assert "Traceback" not in str(state["log"])


def test_some_failed(runner: Runner, options: Options, tiny: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.gguf"
    short.write_bytes((tiny / "Tiny-F32.gguf").read_bytes()[:5000])
    both = [f"m={tiny / 'Tiny-F32.gguf'}", f"m={short}"]
    start(runner, options, **files(tiny, tmp_path / "out", variant=both))
    state = wait(runner, ended)
    assert (state["state"], state["error"]) == ("partly", "")
    assert [line["level"] for line in state["log"] if "short.gguf" in line["text"]] == ["warning"]


def test_stopped_and_resumed(runner: Runner, options: Options, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = files(tiny, out, text=["builtin"])
    start(runner, options, **given)
    wait(runner, lambda state: any(line["text"].startswith("baseline F32:") for line in state["log"]))
    runner.stop()
    state = wait(runner, ended)
    assert state["state"] == "stopped"
    assert "run the same command again to resume" in state["error"]
    kept = pl.read_parquet(out / "variants.parquet")
    assert kept["is_baseline"].to_list()[0]
    before = (out / "tokens" / f"{kept['variant_id'][0]}.parquet").stat().st_mtime_ns
    start(runner, options, **given)
    state = wait(runner, ended)
    assert state["state"] == "done"
    assert pl.read_parquet(out / "variants.parquet").height == 2
    assert (out / "tokens" / f"{kept['variant_id'][0]}.parquet").stat().st_mtime_ns == before


def test_a_killed_run_is_said(runner: Runner, options: Options, tiny: Path, tmp_path: Path) -> None:
    start(runner, options, **files(tiny, tmp_path / "out", text=["builtin"]))
    state = wait(runner, lambda state: bool(state["stages"]))
    assert state["state"] == "running"
    os.kill(runner._run.process.pid, signal.SIGKILL)  # type: ignore[union-attr]
    state = wait(runner, ended)
    assert state["state"] == "failed"
    assert "signal 9" in state["error"]


def test_the_run_ends_with_the_server(options: Options, tiny: Path, tmp_path: Path) -> None:
    runner = Runner()
    start(runner, options, **files(tiny, tmp_path / "out", text=["builtin"]))
    wait(runner, lambda state: bool(state["stages"]))
    assert runner.close() is True
    assert runner.state()["state"] == "stopped"
    assert runner.close() is False
