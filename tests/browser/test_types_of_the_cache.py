"""View 5 with types of the cache, the folded table on Compare, and saving the frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cache_results import make_cache_results
from driving import Watched, served, watched
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser

#: Number of places with a point: the file in the title is drawn twice.
POINTS = (
    "new Set(document.querySelector('#graph .js-plotly-plot').data.filter(t => t.customdata)"
    ".flatMap(t => Array.from(t.x, (x, i) => `${x} ${t.y[i]}`))).size"
)


@pytest.fixture(scope="module")
def caches_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(make_cache_results(tmp_path_factory.mktemp("caches"))) as url:
        yield url


@pytest.fixture
def caches(browser: Browser, caches_url: str) -> Iterator[Watched]:
    with watched(browser, caches_url) as seen:
        yield seen


def test_the_switch_draws_a_point_per_type(caches: Watched) -> None:
    caches.open("/size")
    caches.plotted()
    page = caches.page
    expect(page.locator("#options .option")).to_have_count(2)
    expect(page.locator("#options")).to_contain_text("below the baseline")
    assert page.evaluate(POINTS) == 2
    page.locator("#options .choice", has_text="16k").click()
    expect(page.locator("#eyebrow")).to_contain_text("Memory against loss")
    expect(page.locator("#options")).not_to_contain_text("below the baseline")
    expect(page.locator("#options .option")).to_have_count(2)
    expect(page.locator("#title")).to_contain_text("16k context")
    page.wait_for_function(f"{POINTS} === 6")
    assert page.url.endswith("/size?memory=16k")
    page.locator("#options .choice", has_text="1/PPL").click()
    page.wait_for_function(
        "document.querySelector('#graph .ytitle').textContent.startsWith('1 / perplexity')"
    )
    caches.settle()
    assert caches.updates() == 2
    page.go_back()
    page.wait_for_function("document.querySelector('#graph .ytitle').textContent.startsWith('mean KL')")
    page.locator("#options .choice", has_text="no tokens").click()
    page.wait_for_function(f"{POINTS} === 2")
    assert caches.complaints == []


def test_the_table_on_compare_unfolds(caches: Watched) -> None:
    caches.open("/compare")
    table = caches.page.locator(".folded table")
    expect(table).to_be_hidden()
    caches.page.locator(".folded summary").click()
    expect(table).to_be_visible()
    expect(table.locator("tbody tr")).to_have_count(6)
    assert caches.complaints == []


def test_the_frame_is_saved_from_explore(caches: Watched) -> None:
    caches.open("/explore?quant=Q5_K_M")
    with caches.page.expect_download() as download:
        caches.page.get_by_text("Cache types as CSV").click()
    assert download.value.suggested_filename == "Synthetic-135M-kv_cache.csv"
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("variant_id,method,quant,engine,cache_type,")
    assert len(lines) == 4
    assert caches.complaints == []
