"""The clock of a run's stages: what counts for which stage, and for whose clock."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from evaluator.support import stage_clock
from evaluator.support.stage_clock import StageClock, current_clock, in_stage


class SteppedTime:
    """Time that passes only when told to."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now

    def pass_by(self, seconds):
        self.now += seconds


@pytest.fixture
def stepped(monkeypatch):
    steps = SteppedTime()
    monkeypatch.setattr(stage_clock, "time", steps)
    return steps


def test_stages_add_up(stepped):
    clock = StageClock()
    for _ in range(2):
        with clock.stage("reading"):
            stepped.pass_by(0.25)
        stepped.pass_by(8)
    with clock.stage("scoring"):
        pass
    assert clock.seconds == {"reading": 0.5, "scoring": 0}


def test_a_stage_within_a_stage_counts_once(stepped):
    clock = StageClock()
    with clock.stage("computing"):
        with clock.stage("dequantizing"):
            with clock.stage("reading"):
                stepped.pass_by(4)
            stepped.pass_by(2)
        stepped.pass_by(0.5)
        clock.add("scoring", 0.5)
        with clock.stage("reading"):
            stepped.pass_by(8)
        stepped.pass_by(1)
    assert clock.seconds == {"reading": 12, "dequantizing": 2, "scoring": 0.5, "computing": 1}


def test_seconds_of_a_stage_that_failed_count(stepped):
    clock = StageClock()

    def fail():
        stepped.pass_by(3)
        raise KeyError

    with pytest.raises(KeyError), clock.stage("reading"):
        fail()
    assert clock.seconds == {"reading": 3}


def test_threads_count_for_one_clock():
    clock = StageClock()
    together = threading.Barrier(2, timeout=20)

    def work(_):
        with clock.stage("reading"):
            together.wait()
            time.sleep(0.02)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    assert clock.seconds["reading"] >= 0.04


def test_the_current_clock_is_that_of_the_run():
    assert current_clock() is None
    with StageClock().running() as outer:
        with StageClock().running() as inner:
            assert current_clock() is inner
            with in_stage("reading"), in_stage("scoring", outer):
                time.sleep(0.01)
        assert current_clock() is outer
    assert current_clock() is None
    assert (set(inner.seconds), set(outer.seconds)) == ({"reading"}, {"scoring"})


def test_without_a_clock_nothing_is_counted():
    with in_stage("reading"):
        assert current_clock() is None
