"""The clock of a run's stages: what counts for which stage, and for whose clock."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from evaluator.support.stage_clock import StageClock, current_clock, in_stage


def test_stages_add_up():
    clock = StageClock()
    for _ in range(2):
        with clock.stage("reading"):
            time.sleep(0.02)
    with clock.stage("scoring"):
        pass
    assert set(clock.seconds) == {"reading", "scoring"}
    assert 0.04 <= clock.seconds["reading"] < 1
    assert clock.seconds["scoring"] < 0.02


def test_a_stage_within_a_stage_counts_once():
    clock = StageClock()
    start = time.perf_counter()
    with clock.stage("computing"):
        with clock.stage("dequantizing"):
            with clock.stage("reading"):
                time.sleep(0.03)
            time.sleep(0.02)
        clock.add("scoring", 0.001)
        with clock.stage("reading"):
            time.sleep(0.03)
        time.sleep(0.01)
    elapsed = time.perf_counter() - start
    seconds = clock.seconds
    assert sum(seconds.values()) == pytest.approx(elapsed, abs=0.002)
    assert seconds["reading"] > seconds["dequantizing"] > seconds["computing"] > seconds["scoring"]


def test_seconds_of_a_stage_that_failed_count():
    clock = StageClock()

    def fail():
        time.sleep(0.01)
        raise KeyError

    with pytest.raises(KeyError), clock.stage("reading"):
        fail()
    assert clock.seconds["reading"] >= 0.01


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
