"""Limits of memory and context: the answer is a file with a type of the cache, and says what it takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from driving import Watched, served, watched
from engine_rows import add_memory
from playwright.sync_api import Browser, expect
from results_factory import make_results

pytestmark = pytest.mark.browser


@pytest.fixture
def two(browser: Browser, tmp_path: Path) -> Iterator[Watched]:
    make_results(tmp_path, with_layers=False, engines=("onnxruntime", "llama.cpp"))
    add_memory(tmp_path, pl.read_parquet(tmp_path / "variants.parquet").to_dicts())
    with served(tmp_path) as url, watched(browser, url) as seen:
        yield seen


def test_typed_limits_give_a_file_with_a_cache_and_its_sum(two: Watched) -> None:
    """At 16,384 tokens a cache takes 32.8 MB in f16 and 17.4 MB in q8_0, and buffers take 6.6 MB."""
    page = two.page
    two.open("/")
    for key, text in (("context", "16k"), ("gb", "136 MB")):
        page.fill(f"#option-{key}", text)
        page.keyboard.press("Enter")
        two.settle()
    name = "Q6_K with q8_0 cache"
    expect(page.locator("#title")).to_contain_text(
        "Within your limits (at most 136.0 MB and 16,384 tokens of context)"
    )
    expect(page.locator("#title")).to_contain_text(name)
    advice = page.locator(".advice")
    expect(advice).to_contain_text(name)
    expect(advice).to_contain_text("+ cache 17.4 MB + buffers 6.6 MB = 13")
    expect(advice).to_contain_text("at 16,384 tokens, q8_0 cache")
    expect(advice).to_contain_text("lowest mean KLD as run in llama.cpp")
    expect(advice).to_contain_text("with q4_0 cache, but what that costs was not measured")
    assert "context=16k" in page.url
    page.fill("#option-tps", "20/s")
    page.keyboard.press("Enter")
    expect(page.locator("#title")).to_contain_text("at least 20.0 tokens/s decoded")
    expect(page.locator(".limit-problem")).to_have_count(0)
    page.fill("#option-context", "64k")
    page.keyboard.press("Enter")
    expect(advice).to_contain_text("the longest measured is 32,768 tokens")
    assert two.complaints == []


def test_an_answer_leaves_the_field_that_is_typed_into(two: Watched) -> None:
    """The answer to one limit comes while the next is typed: no key goes astray as a shortcut."""
    page = two.page
    two.open("/")
    two.settle()
    page.fill("#option-context", "16k")
    page.keyboard.press("Enter")
    page.locator("#option-gb").click()
    page.keyboard.type("1")
    expect(page.locator("#title")).to_contain_text("16,384 tokens")
    two.settle()
    page.keyboard.type("36 MB")
    assert page.evaluate("document.activeElement.id") == "option-gb"
    expect(page.locator("#option-gb")).to_have_value("136 MB")
    page.locator("#title").click()
    expect(page.locator("#title")).to_contain_text("at most 136.0 MB and 16,384 tokens of context")
    assert page.url.split("?")[0].endswith("/")
    assert two.complaints == []
