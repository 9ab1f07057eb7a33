"""Undo, search, the chart and the slider by keyboard; Escape takes one thing back at a time."""

from __future__ import annotations

import re

import pytest
from driving import PLOT, Watched
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

RANGES = f"JSON.stringify([{PLOT}._fullLayout.xaxis.range, {PLOT}._fullLayout.yaxis.range])"
FOCUSED = "document.activeElement.id || document.activeElement.className"


def said(seen: Watched, text: str) -> None:
    expect(seen.page.locator("#said")).to_have_text(text)


def zoom(seen: Watched) -> str:
    """Drag a box in the plot; return the ranges before."""
    seen.plotted()
    before: str = seen.page.evaluate(RANGES)
    box = seen.page.locator("#graph .nsewdrag").first.bounding_box()
    assert box is not None
    seen.page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.1 * box["height"])
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.95 * box["height"], steps=4)
    seen.page.mouse.up()
    seen.page.wait_for_function(f"{RANGES} !== {before!r}")
    return before


def test_undo_and_redo_say_what_they_did(full: Watched) -> None:
    full.open("/ppl-bits")
    full.settle()
    full.page.keyboard.press("Control+z")
    said(full, "Nothing to undo")
    full.page.get_by_label("main").check()
    full.settle()
    full.click_marker("main-q4_0")
    expect(full.page).to_have_url(f"{full.base}/ppl-bits?method=main&pick=main-q4_0")
    full.settle()
    full.page.get_by_role("button", name="file size").click()
    full.settle()
    full.page.keyboard.press("5")
    full.settle()
    for text in ("went to Size", "Across: file size", "picked main Q4_0", "method main"):
        full.page.keyboard.press("Control+z")
        said(full, f"Undone: {text}")
        full.settle()
    expect(full.page).to_have_url(f"{full.base}/ppl-bits")
    for key, text in (("Control+Shift+z", "method main"), ("Meta+Shift+z", "picked main Q4_0")):
        full.page.keyboard.press(key)
        said(full, f"Redone: {text}")
        full.settle()
    expect(full.page).to_have_url(f"{full.base}/ppl-bits?method=main&pick=main-q4_0")
    full.page.keyboard.press("Escape")
    full.settle()
    full.page.keyboard.press("Control+z")
    said(full, "Undone: let go of main Q4_0")
    assert full.complaints == []


def test_undo_leaves_text_fields_alone(full: Watched) -> None:
    full.open("/ppl-bits")
    full.page.get_by_label("main").check()
    full.settle()
    full.page.keyboard.press("/")
    full.page.keyboard.type("q4")
    full.page.keyboard.press("Control+z")
    full.settle()
    expect(full.page).to_have_url(f"{full.base}/ppl-bits?method=main")


def test_find_narrows_as_one_types(full: Watched) -> None:
    full.open("/size")
    entries = full.page.locator("#find-list [role=option]:visible")
    full.page.keyboard.press("/")
    full.page.keyboard.type("q6")
    expect(entries).to_have_count(3)
    full.page.keyboard.type(" un")
    expect(entries).to_have_text(["unsloth Q6_K"])
    full.page.keyboard.press("Escape")
    expect(full.page.locator("#find-menu")).to_be_hidden()
    expect(full.page.locator("#find")).to_have_value("")
    full.page.keyboard.press("/")
    full.page.keyboard.type("q6")
    full.page.keyboard.press("ArrowDown")
    full.page.keyboard.press("Enter")
    expect(full.page).to_have_url(f"{full.base}/size?pick=main-q6_k")
    full.settle()
    full.page.keyboard.press("/")
    full.page.keyboard.type("q6")
    full.page.keyboard.press("Shift+Enter")
    expect(full.page.locator("#status")).to_contain_text("3 of 21 variants")
    full.page.keyboard.press("/")
    full.page.keyboard.type("main")
    full.page.get_by_role("button", name="Show only these 7").click()
    expect(full.page.locator("#status")).to_contain_text("7 of 21 variants")
    assert full.complaints == []


def test_escape_takes_one_thing_back_at_a_time(full: Watched) -> None:
    full.open("/ppl-bits?pick=main-q4_0&bin=2&layer=3")
    before = zoom(full)
    address = full.page.url
    full.page.click("#export > summary")
    full.page.keyboard.press("Escape")
    expect(full.page.locator("#export")).not_to_have_attribute("open", "")
    full.page.focus("#graph-place")
    full.page.keyboard.press("ArrowRight")
    expect(full.page.locator(".point-ring")).to_be_visible()
    full.page.keyboard.press("Escape")
    expect(full.page.locator(".point-ring")).to_be_hidden()
    assert full.page.evaluate(RANGES) != before
    full.page.keyboard.press("Escape")
    full.page.wait_for_function(f"{RANGES} === {before!r}")
    assert full.page.url == address
    for query in ("bin=2&pick=main-q4_0", "pick=main-q4_0", ""):
        full.page.keyboard.press("Escape")
        full.settle()
        full.page.wait_for_function(f"window.location.search.slice(1) === {query!r}")
    assert full.complaints == []


def test_a_zoom_survives_the_theme_but_not_the_page(full: Watched) -> None:
    full.open("/ppl-bits")
    before = zoom(full)
    zoomed = full.page.evaluate(RANGES)
    full.page.keyboard.press("t")
    full.page.wait_for_function(f"{PLOT}._fullLayout.paper_bgcolor !== '#ffffff'")
    full.settle()
    assert full.page.evaluate(RANGES) == zoomed
    full.page.keyboard.press("2")
    full.plotted()
    full.page.keyboard.press("1")
    full.plotted()
    assert full.page.evaluate(RANGES) == before


def test_no_step_of_the_slider_is_lost(full: Watched) -> None:
    full.open("/size")
    full.plotted()
    lower, upper = full.page.locator("#filter-bits [role=slider]").all()
    lower.focus()
    full.page.evaluate("window.performance.now = () => 1000")
    for _ in range(12):
        full.page.keyboard.press("ArrowRight")
    upper.focus()
    for _ in range(6):
        full.page.keyboard.press("ArrowLeft")
    expect(full.page).to_have_url(f"{full.base}/size?bits=3.2-8.35")
    expect(full.page.locator("#bits-text")).to_have_text("3.20–8.35")
    full.settle()
    expect(lower).to_have_attribute("aria-valuenow", "3.2")
    expect(upper).to_have_attribute("aria-valuenow", "8.35")
    full.page.keyboard.press("Control+z")
    expect(full.page).to_have_url(f"{full.base}/size")


@pytest.mark.parametrize(
    ("page", "told", "query"),
    [
        ("ppl-bits", r"^\w+ Q\w+, .* bits per weight", r"\?pick=\w+-q\w+$"),
        ("layers", r"layer 3, .*weight error", r"\?layer=3&role=\w+$"),
        ("speed", r"ms per token", r"\?pick=\w+-q\w+$"),
        ("confidence", r"top probability", r"\?bin=\d$"),
        ("delta-logp", r"nats", r"\?pick=\w+-q\w+$"),
        ("radar", r"%", r"\?pick=\w+-q\w+$"),
    ],
)
def test_points_are_reached_by_keyboard(full: Watched, page: str, told: str, query: str) -> None:
    full.open(f"/{page}")
    full.plotted()
    full.settle()
    full.page.keyboard.press("Tab")
    assert full.page.evaluate(FOCUSED) == "skip", "the first stop"
    full.page.keyboard.press("Enter")
    assert full.page.evaluate(FOCUSED) == "graph-place"
    pointed, ring = full.page.locator("#pointed"), full.page.locator(".point-ring")
    places, texts = [], []
    for _ in range(4):
        full.page.keyboard.press("ArrowRight")
        box = ring.bounding_box()
        assert box is not None
        places.append(box["x"])
        texts.append(pointed.inner_text())
    if page not in {"radar", "delta-logp"}:
        assert places == sorted(places)
    assert len(set(texts)) > 2
    expect(pointed).to_have_text(re.compile(told))
    full.page.keyboard.press("Enter")
    expect(full.page).to_have_url(re.compile(re.escape(f"{full.base}/{page}") + query))
    full.settle()
    full.plotted()
    expect(full.page.locator("#graph-place")).to_be_focused()
    assert full.complaints == []


def test_the_chart_and_the_tabs_are_one_stop_each(full: Watched) -> None:
    full.open("/ppl-bits")
    full.plotted()
    full.settle()
    stops = []
    for _ in range(60):
        full.page.keyboard.press("Tab")
        stops.append(full.page.evaluate("document.activeElement.closest('#tabs, #graph-place')?.id || ''"))
        if full.page.evaluate("document.activeElement === document.body"):
            break
    assert sorted(filter(None, stops)) == ["graph-place", "tabs"]
