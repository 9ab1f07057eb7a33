"""The memory line of the first page: moved by mouse, keys and touch, in step with the address and the headline."""

from __future__ import annotations

import re

import pytest
from driving import PLOT, Watched, watched
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser
HANDLE = "#memory-line"
LIMIT = r"gb=([\d.]+)(?:\+|%20)MB"
#: Where the drawn line is, in the unit of the axis; null without one.
LINE = f"{PLOT}.layout.shapes.find(shape => shape.name === 'memory' && shape.type === 'line')?.x0 ?? null"
#: The middle of the handle on the page, as {x, y}.
THUMB = """() => {
    const slider = document.querySelector('#memory-line'), box = slider.getBoundingClientRect();
    const share = (slider.value - slider.min) / (slider.max - slider.min);
    return {x: box.x + 9 + share * (box.width - 18), y: box.y + 9};
}"""


def headline(seen: Watched) -> str:
    return seen.page.inner_text("#title")


def test_the_arrows_move_it_and_the_headline_follows(full: Watched) -> None:
    page = full.page
    full.open("/")
    full.plotted()
    before = headline(full)
    assert page.evaluate(LINE) is None
    expect(page.locator(HANDLE)).to_have_attribute("aria-valuetext", "No limit of memory")
    page.focus(HANDLE)
    for _ in range(4):
        page.keyboard.press("PageDown")
    expect(page.locator("#title")).to_contain_text("Within your limits (at most ")
    expect(page).to_have_url(re.compile(f"/\\?{LIMIT}$"))
    assert headline(full) != before
    text = re.search(LIMIT, page.url)
    assert text is not None
    expect(page.locator("#option-gb")).to_have_value(f"{text[1]} MB")
    expect(page.locator(HANDLE)).to_have_attribute("aria-valuetext", f"{text[1]} MB")
    page.wait_for_function(f"Math.abs(({LINE}) - {text[1]}) < 0.01")
    expect(page.locator(HANDLE)).to_be_focused()
    page.keyboard.press("End")
    expect(page).to_have_url(f"{full.base}/")
    expect(page.locator("#title")).to_have_text(before)
    assert full.complaints == []


def test_a_drag_is_one_entry_of_the_history(full: Watched) -> None:
    page = full.page
    full.open("/")
    full.plotted()
    before = headline(full)
    start = page.evaluate(THUMB)
    page.mouse.move(start["x"], start["y"])
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(start["x"] - 40 * step, start["y"], steps=2)
        page.wait_for_timeout(40)
    expect(page.locator("#title")).to_contain_text("Within your limits")
    page.mouse.up()
    full.settle()
    moved = page.evaluate(THUMB)
    assert abs(moved["x"] - (start["x"] - 320)) < 8, "the handle stays where it was let go"
    limit = re.search(LIMIT, page.url)
    assert limit is not None
    page.wait_for_function(f"Math.abs(({LINE}) - {limit[1]}) < 0.01")
    page.go_back()
    expect(page).to_have_url(f"{full.base}/")
    expect(page.locator("#title")).to_have_text(before)
    assert page.evaluate(LINE) is None
    assert full.complaints == []


def test_a_typed_limit_moves_the_handle(full: Watched) -> None:
    page = full.page
    full.open("/")
    full.plotted()
    at_end = page.evaluate(THUMB)["x"]
    page.fill("#option-gb", "90 MB")
    page.keyboard.press("Enter")
    page.wait_for_function(f"({LINE}) === 90")
    page.wait_for_function("!document.querySelector('#memory-line').classList.contains('unset')")
    assert page.evaluate(THUMB)["x"] < at_end - 100
    place = page.evaluate(
        f"{PLOT}.getBoundingClientRect().x + {PLOT}._fullLayout.xaxis._offset"
        f" + {PLOT}._fullLayout.xaxis.d2p(90)"
    )
    assert abs(page.evaluate(THUMB)["x"] - place) < 4, "the handle is on the line"


def test_a_finger_drags_it(browser: Browser, full_url: str) -> None:
    with watched(browser, full_url) as seen:
        seen.open("/")
        seen.plotted()
        start = seen.page.evaluate(THUMB)
        session = seen.page.context.new_cdp_session(seen.page)

        def touch(kind: str, *points: dict[str, float]) -> None:
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

        touch("touchStart", start)
        for step in range(1, 7):
            touch("touchMove", {"x": start["x"] - 50 * step, "y": start["y"]})
        touch("touchEnd")
        expect(seen.page.locator("#title")).to_contain_text("Within your limits")
        assert "gb=" in seen.page.url


def test_a_click_on_a_point_picks_it_and_the_views_know(full: Watched) -> None:
    full.open("/")
    full.click_marker("main-q4_0")
    expect(full.page.locator("#chips")).to_contain_text("main Q4_0")
    full.page.click(".links a[href^='/size']")
    expect(full.page).to_have_url(f"{full.base}/size?pick=main-q4_0")
    expect(full.page.locator(HANDLE)).to_have_count(0)


def test_it_is_where_the_axis_is_after_a_zoom(full: Watched) -> None:
    page = full.page
    full.open("/?gb=90+MB")
    full.plotted()
    page.evaluate(f"Plotly.relayout({PLOT}, {{'xaxis.range': [80, 120]}})")
    place = page.evaluate(
        f"{PLOT}.getBoundingClientRect().x + {PLOT}._fullLayout.xaxis._offset"
        f" + {PLOT}._fullLayout.xaxis.d2p(90)"
    )
    page.wait_for_function(f"Math.abs(({THUMB})().x - {place}) < 4")


def test_the_tools_of_the_chart_are_above_what_the_line_says(full: Watched) -> None:
    full.open("/")
    full.plotted()
    full.page.locator("#graph .js-plotly-plot").hover()
    tools, said = full.page.locator("#graph .modebar").bounding_box(), full.page.locator(".memory-readout")
    expect(said).to_have_text("drag: your memory")
    words = said.bounding_box()
    assert tools is not None
    assert words is not None
    assert tools["y"] + tools["height"] <= words["y"]
