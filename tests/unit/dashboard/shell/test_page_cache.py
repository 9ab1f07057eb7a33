"""Pages that were drawn are not drawn again, and others are drawn while nobody waits."""

import threading
from typing import Any

import pytest

from dashboard.shell.page_cache import PageCache


def test_a_page_is_drawn_once() -> None:
    drawn: list[str] = []

    def draw() -> dict[str, Any]:
        drawn.append("a")
        return {"title": "a"}

    pages = PageCache()
    assert pages.get("a", draw) is pages.get("a", draw)
    assert drawn == ["a"]
    assert "a" in pages
    assert "b" not in pages


def test_a_failure_is_told_each_time_and_not_kept() -> None:
    def fail() -> dict[str, Any]:
        raise ValueError("broken")

    pages = PageCache()
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            pages.get("a", fail)
    assert "a" not in pages


def test_expected_pages_are_drawn_ahead_past_a_failure() -> None:
    done = threading.Event()

    def fail() -> dict[str, Any]:
        raise ValueError("broken")

    def last() -> dict[str, Any]:
        done.set()
        return {}

    pages = PageCache(pause=0.0)
    pages.expect({"bad": fail, "good": last})
    assert done.wait(5)


def test_a_request_calls_off_what_was_expected() -> None:
    drawn = threading.Event()

    def ahead() -> dict[str, Any]:
        drawn.set()
        return {}

    pages = PageCache(pause=0.2)
    pages.expect({"other": ahead})
    pages.get("asked", dict)
    assert not drawn.wait(0.6)


def test_pages_wanted_at_once_do_not_wait_for_a_pause() -> None:
    done = threading.Event()

    def draw() -> dict[str, Any]:
        done.set()
        return {}

    PageCache(pause=60.0).expect({"first": draw}, at_once=True)
    assert done.wait(5)


def test_the_oldest_pages_are_let_go() -> None:
    pages = PageCache()
    for number in range(200):
        pages.get(number, dict)
    assert 199 in pages
    assert 0 not in pages
