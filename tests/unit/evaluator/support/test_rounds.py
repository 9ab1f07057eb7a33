"""Rounds are counted, and the time left follows from those done now."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from evaluator.support import rounds as module
from evaluator.support.progress import RunProgress
from evaluator.support.progress_lines import ProgressLines
from evaluator.support.rounds import Rounds


@pytest.fixture
def clock(monkeypatch):
    """A clock whose seconds the test sets."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def run(rounds, clock, seconds):
    with rounds.one():
        clock[0] += seconds


def fail(rounds, clock):
    with rounds.one():
        clock[0] += 5
        raise OSError("full")


def test_the_time_left_is_that_of_the_mean_round(clock):
    told = []
    rounds = Rounds(4, lambda *values: told.append(values))
    run(rounds, clock, 10)
    clock[0] += 100  # not in a round
    run(rounds, clock, 20)
    assert told == [(1, 4, 30.0), (2, 4, 30.0)]


def test_rounds_of_an_interrupted_run_take_no_time(clock):
    told = []
    rounds = Rounds(4, lambda *values: told.append(values))
    rounds.skip(2)
    run(rounds, clock, 10)
    assert told == [(2, 4, None), (3, 4, 10.0)]


def test_a_round_that_fails_counts_and_those_not_needed_are_done_at_the_end_of_their_part(clock):
    told = []
    rounds = Rounds(6, lambda *values: told.append(values))
    with pytest.raises(OSError, match="full"), rounds.part(3):
        fail(rounds, clock)
    assert told == [(1, 6, 25.0), (3, 6, 15.0)]
    with rounds.part(3):
        for _ in range(3):
            run(rounds, clock, 5)
    assert told[-1] == (6, 6, 0.0)
    assert len(told) == 5, "nothing is told at the end of a part that was done"


def test_programs_get_a_line_per_round(clock):
    said = io.StringIO()
    with ProgressLines(Console(file=said)) as progress:
        run(progress.rounds("timing", 3), clock, 1.25)
    assert json.loads(said.getvalue()) == {
        "event": "rounds",
        "name": "timing",
        "done": 1,
        "total": 3,
        "left": 2.5,
    }


def test_a_log_gets_a_line_every_half_minute(clock):
    said = io.StringIO()
    with RunProgress(Console(file=said, width=200)) as progress:
        rounds = progress.rounds("timing", 6)
        for _ in range(6):
            run(rounds, clock, 20)
    assert said.getvalue().splitlines() == [
        "timing: 2 of 6, about 80 s left",
        "timing: 4 of 6, about 40 s left",
    ]
