"""Work shared between threads: every item once, errors, nested calls and the number of threads."""

from __future__ import annotations

import os
import threading

import pytest

from evaluator.support.threads import in_blocks, thread_count, usable_cores, use_threads


@pytest.fixture(autouse=True)
def three_threads():
    use_threads(3)
    yield
    use_threads(None)


def test_default_are_the_usable_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 9, 11}, raising=False)
    use_threads(None)
    assert usable_cores() == thread_count() == 4
    use_threads(2)
    assert thread_count() == 2


def test_no_threads_are_refused():
    with pytest.raises(ValueError, match="0 threads"):
        use_threads(0)


@pytest.mark.parametrize(("total", "step"), [(1, 5), (10, 5), (11, 5), (100, 1)])
def test_every_item_is_in_one_block(total, step):
    blocks = []
    in_blocks(total, step, lambda start, stop: blocks.append((start, stop)))
    assert sorted(item for start, stop in blocks for item in range(start, stop)) == list(range(total))
    assert max(stop - start for start, stop in blocks) <= step


def test_blocks_run_at_the_same_time():
    meeting = threading.Barrier(3, timeout=20)
    in_blocks(3, 1, lambda start, stop: meeting.wait())


def test_a_single_block_runs_in_the_calling_thread():
    threads = []
    in_blocks(4, 4, lambda start, stop: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()]


def test_calls_within_calls_end():
    counted = []

    def outer(start, stop):
        in_blocks(5, 1, lambda inner, _: counted.append((start, inner)))

    in_blocks(20, 1, outer)
    assert sorted(counted) == [(outer, inner) for outer in range(20) for inner in range(5)]


@pytest.mark.parametrize("bad", [0, 3, 999])
def test_an_error_stops_the_work_and_is_raised(bad):
    done = []

    def work(start, stop):
        if start == bad:
            raise KeyError(start)
        done.append(start)

    with pytest.raises(KeyError, match=str(bad)):
        in_blocks(1000, 1, work)
    assert bad not in done
    if bad == 0:
        assert len(done) < 900


def test_fewer_threads_from_now_on():
    use_threads(1)
    threads = set()
    in_blocks(50, 1, lambda start, stop: threads.add(threading.current_thread()))
    assert threads == {threading.current_thread()}
