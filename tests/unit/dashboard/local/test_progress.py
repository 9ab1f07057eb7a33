"""What the lines of a run add up to."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from dashboard.local.progress import Progress
from evaluator.support.progress_lines import ProgressLines


def test_what_the_evaluator_writes_is_understood(tmp_path) -> None:
    said = io.StringIO()
    with ProgressLines(Console(file=said)) as lines:
        lines.begin(tmp_path / "out")
        lines.stage("scoring files")
        lines.plan(200, ["baseline F16", "main Q4_0"])
        lines.task("baseline F16", 100)(1.0, "output matrix")
        lines.task("main Q4_0", 100)(0.25, "layer 1 of 4")
        lines.step("main Q4_0")
        lines.rounds("timing", 12).skip(3)
        lines.say("baseline F16: PPL 8", "")
        lines.say("failed x.gguf: truncated", "red")
    progress = Progress()
    for line in said.getvalue().splitlines():
        progress.take(line)
    told = progress.as_json()
    assert told["out"] == str(tmp_path / "out")
    assert (told["stages"], told["step"]) == (["scoring files"], "main Q4_0")
    assert [(file["name"], file["share"]) for file in told["files"]] == [
        ("baseline F16", 1.0),
        ("main Q4_0", 0.25),
    ]
    assert (told["tokens"], told["total"]) == (125, 200)
    assert told["rounds"] == {"name": "timing", "done": 3, "total": 12, "left": None}
    progress.take('{"event": "stage", "name": "next"}')
    assert progress.as_json()["rounds"] == {}
    assert told["log"][-1] == {"text": "failed x.gguf: truncated", "level": "failure"}
    assert told["error"] == ""


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "scored"}',
        '{"event": "plan", "tokens": "many", "files": []}',
        '{"event": ["x"]}',
        '{"event": "later", "unknown": 1}',
        '{"event": "rounds", "name": "timing", "done": "many", "total": 3, "left": null}',
        "[1, 2]",
        "7",
        "{",
        "\x00\xff",
        '{"event": "scored", "tokens": null, "left": {}}',
    ],
)
def test_strange_lines_do_no_harm(line: str) -> None:
    progress = Progress()
    progress.take(line)
    assert json.dumps(progress.as_json())
    assert progress.error == ""


def test_the_error_sentence_and_the_latest_messages_are_kept() -> None:
    progress = Progress()
    for number in range(1000):
        progress.take(f"line {number}")
    progress.take("error: no.gguf: no such file\n")
    told = progress.as_json()
    assert told["error"] == "no.gguf: no such file"
    assert len(told["log"]) == 400
    assert told["log"][-2]["text"] == "line 999"
