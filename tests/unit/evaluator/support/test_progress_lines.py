"""The progress as lines of JSON: what was done earlier costs no time now."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from evaluator.support import progress_lines
from evaluator.support.progress import RunProgress
from evaluator.support.progress_lines import ProgressLines, run_progress


@pytest.fixture
def clock(monkeypatch):
    """A clock whose seconds the test sets."""
    now = [1000.0]
    monkeypatch.setattr(progress_lines.time, "monotonic", lambda: now[0])
    return now


def lines(said):
    return [json.loads(line) for line in said.getvalue().splitlines()]


def test_the_time_left_is_that_of_all_files_at_the_rate_so_far(clock):
    said = io.StringIO()
    with ProgressLines(Console(file=said, width=40)) as progress:
        progress.plan(300, ["baseline F16", "main Q4_0", "noise floor"])
        advance = progress.task("baseline F16", 100)
        for second, share in enumerate((0.0, 0.25, 0.5)):
            clock[0] = 1000 + 10 * second
            advance(share, f"layer {second} of 3")
    plan, *scored = lines(said)
    assert plan == {
        "event": "plan",
        "tokens": 300,
        "files": ["baseline F16", "main Q4_0", "noise floor"],
    }
    assert [line["tokens"] for line in scored] == [0, 25, 50]
    assert [line["left"] for line in scored] == [None, 110.0, 100.0], "2.5 tokens per second"
    assert scored[-1]["where"] == "layer 2 of 3"
    assert scored[-1]["share"] == 0.5


def test_what_an_interrupted_run_had_done_does_not_make_this_one_look_fast(clock):
    said = io.StringIO()
    with ProgressLines(Console(file=said)) as progress:
        progress.plan(100)
        advance = progress.task("main Q4_0", 100)
        advance(0.8, "layer 8 of 10")
        clock[0] += 10
        advance(0.9, "layer 9 of 10")
    assert [line["left"] for line in lines(said)[1:]] == [None, 10.0]


def test_a_file_is_told_of_twice_a_second_and_at_its_end(clock):
    said = io.StringIO()
    with ProgressLines(Console(file=said)) as progress:
        progress.plan(10)
        advance = progress.task("main Q4_0", 10)
        for step in range(8):
            clock[0] += 0.125
            advance(step / 8, "layer")
        advance(1.0, "output matrix")
    told = [line["share"] for line in lines(said)[1:]]
    assert told == pytest.approx([0.0, 0.5, 1.0])


def test_each_line_is_one_object_whatever_a_name_holds(tmp_path):
    hostile = 'x\n{"event": "stage"}\x1b[2J [bold]' + "é" * 3000
    said = io.StringIO()
    with ProgressLines(Console(file=said, width=20)) as progress:
        progress.begin(tmp_path / "new\nline")
        progress.stage("reading files and texts")
        progress.step(hostile)
        progress.say(hostile, "red")
        progress.say("fine")
        progress.plan(1, [hostile])
        progress.task(hostile, 1)(1.0, hostile)
    told = lines(said)
    assert [line["event"] for line in told] == ["begin", "stage", "step", "say", "say", "plan", "scored"]
    assert told[0]["out"] == str(tmp_path / "new\nline")
    assert [line["level"] for line in told[3:5]] == ["failure", "info"]
    assert "\x1b" not in said.getvalue()


def test_people_get_words_and_programs_lines():
    console = Console(file=io.StringIO())
    assert type(run_progress(console, "text")) is RunProgress
    assert type(run_progress(console, "json")) is ProgressLines
