"""What is asked for by several threads is computed by one of them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.results.memo import Memo


def test_who_asks_meanwhile_waits_for_the_one_computation() -> None:
    began, may_end = threading.Event(), threading.Event()
    computed: list[int] = []

    def compute() -> object:
        computed.append(1)
        began.set()
        assert may_end.wait(5)
        return object()

    kept: Memo[object] = Memo()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(kept.get, "a", compute)
        assert began.wait(5)
        second = pool.submit(kept.get, "a", compute)
        assert kept.get("b", lambda: "another key does not wait") == "another key does not wait"
        may_end.set()
        assert first.result(5) is second.result(5)
    assert computed == [1]


def test_a_computation_may_ask_for_others() -> None:
    kept: Memo[int] = Memo()
    assert kept.get("sum", lambda: kept.get("a", lambda: 1) + kept.get("b", lambda: 2)) == 3


def test_a_failure_leaves_nothing_behind() -> None:
    kept: Memo[int] = Memo()

    def fail() -> int:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        kept.get("a", fail)
    assert "a" not in kept
    assert kept.get("a", lambda: 1) == 1


def test_what_was_asked_for_longest_ago_is_let_go() -> None:
    kept: Memo[int] = Memo(most=2)
    for key in (1, 2, 1, 3):
        kept.get(key, lambda: 0)
    assert [key in kept for key in (1, 2, 3)] == [True, False, True]
