"""A click on a cell of experts opens them, and a click there, Esc, Back or a chip closes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import PLOT, Watched, served, watched
from mixture_results import WORST, make_mixture_results
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser

LAYER, ROLE, NUMBER = WORST
#: Position on the page of a cell of the first panel, given its column and its row; rows are roles, or ranks from 1.
#: On a phone, the chart scrolls in its own box, so the cell is brought into it.
CELL = f"""([column, row]) => {{
    const [x, y] = [{PLOT}._fullLayout.xaxis, {PLOT}._fullLayout.yaxis];
    const canvas = {PLOT}.closest(".canvas"), frame = canvas.getBoundingClientRect();
    const across = () => {PLOT}.getBoundingClientRect().x + x._offset + x.r2p(column);
    canvas.scrollLeft += across() - frame.x - frame.width / 2;
    return {{x: across(), y: {PLOT}.getBoundingClientRect().y + y._offset + y.r2p(row)}};
}}"""
OPENED = f"{PLOT}?._fullData?.some(trace => trace.meta?.role === '{ROLE}')"
ADDRESS = re.compile(rf"/layers\?(?=.*layer={LAYER}(&|$))(?=.*role={ROLE}(&|$))")


@pytest.fixture(scope="module")
def mixture_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = make_mixture_results(tmp_path_factory.mktemp("mixture"), methods=("main", "unsloth"))
    with served(folder) as url:
        yield url


@pytest.fixture(params=[(1280, 720), (390, 844)], ids=["desk", "phone"])
def mixture(request: pytest.FixtureRequest, browser: Browser, mixture_url: str) -> Iterator[Watched]:
    with watched(browser, mixture_url, *request.param) as seen:
        yield seen


def click(seen: Watched, column: int, row: str | int) -> None:
    """Click a cell of the first panel, where it stands when the answer to the last click is on the page."""
    seen.plotted()
    seen.page.locator("#graph").scroll_into_view_if_needed()
    place = seen.page.evaluate(CELL, [column, row])
    seen.click_point(place["x"], place["y"])


def opened(seen: Watched) -> None:
    seen.page.wait_for_function(OPENED)
    expect(seen.page).to_have_url(ADDRESS)
    expect(seen.page.locator("#title")).to_contain_text(
        f"expert {NUMBER} of {ROLE} in layer {LAYER} is hit hardest"
    )


def closed(seen: Watched) -> None:
    seen.page.wait_for_function(f"!({OPENED})")
    expect(seen.page).not_to_have_url(ADDRESS)
    expect(seen.page.locator("#chips .chip")).to_have_count(0)


def test_a_click_opens_the_experts_and_another_closes_them(mixture: Watched) -> None:
    mixture.open("/layers?measure=weight")
    click(mixture, LAYER, ROLE)
    opened(mixture)
    mixture.settle()
    assert mixture.updates() == 1
    click(mixture, LAYER, 5)
    closed(mixture)
    mixture.settle()
    assert mixture.updates() == 2
    assert mixture.complaints == []


def test_another_layer_of_open_experts_is_framed_by_a_click(mixture: Watched) -> None:
    mixture.open(f"/layers?layer={LAYER}&role={ROLE}&measure=weight")
    opened(mixture)
    click(mixture, LAYER - 2, 5)
    expect(mixture.page.locator("#title")).to_contain_text(f"{ROLE} in layer {LAYER - 2} is hit hardest")
    assert "measure=weight" in mixture.page.url
    mixture.page.go_back()
    opened(mixture)


def test_experts_close_like_any_frame(mixture: Watched) -> None:
    mixture.open("/layers?measure=weight")
    for way in ("Escape", "back", "chips"):
        click(mixture, LAYER, ROLE)
        opened(mixture)
        if way == "Escape":
            mixture.page.keyboard.press("Escape")
        elif way == "back":
            mixture.page.go_back()
        else:
            mixture.page.locator("#chips .chip", has_text="role").click()
            mixture.page.locator("#chips .chip", has_text="layer").click()
        closed(mixture)
    assert mixture.complaints == []
