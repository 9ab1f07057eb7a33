"""The radio group of engines: view 4, the table of Compare, and what keeps the choice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import Watched, served, watched
from playwright.sync_api import Browser, expect

ONNX = "packed ONNX (onnxruntime)"


@pytest.fixture
def two(browser: Browser, two_engines: Path) -> Iterator[Watched]:
    with served(two_engines) as url, watched(browser, url) as seen:
        yield seen


def test_view_and_table_follow_the_engine(two: Watched) -> None:
    page = two.page
    two.open("/speed")
    two.settle()
    expect(page.locator("#title")).to_contain_text("in llama.cpp")
    expect(page.locator("#chips")).not_to_contain_text("engine")
    page.get_by_label(ONNX).check()
    expect(page.locator("#title")).to_contain_text(f"as {ONNX}")
    expect(page.locator("#chips")).to_contain_text(f"engine: {ONNX}")
    assert "engine=onnxruntime" in page.url
    page.click("#tab-compare")
    expect(page.locator(".compare-table .engine").first).to_have_text(ONNX)
    page.click("#reset")
    two.settle()
    assert "engine=onnxruntime" in page.url
    page.get_by_label("llama.cpp").check()
    expect(page.locator(".compare-table .engine").first).to_have_text("llama.cpp")
    two.settle()
    assert "engine" not in page.url
    page.go_back()
    expect(page.locator(".compare-table .engine").first).to_have_text(ONNX)
    expect(page.get_by_label(ONNX)).to_be_checked()


def test_one_engine_has_no_radio_group(full: Watched) -> None:
    full.open("/speed")
    full.settle()
    expect(full.page.locator("#group-engine")).to_be_hidden()
    expect(full.page.get_by_role("group", name="Engines")).to_have_count(0)
