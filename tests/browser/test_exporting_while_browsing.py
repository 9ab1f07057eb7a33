"""An export is of what was shown at the click, even if the page goes on while pictures are drawn."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from driving import PLOT, Watched
from playwright.sync_api import Route, expect

pytestmark = pytest.mark.browser

#: Keep the range of each figure that is drawn for an export.
KEEP_RANGES = """() => {
    window.ranges = [];
    const draw = Plotly.toImage;
    Plotly.toImage = (figure, ...rest) => {
        window.ranges.push(figure.layout.xaxis.range);
        return draw(figure, ...rest);
    };
}"""


def begin(full: Watched, key: str, asks: str) -> Route:
    """Start an export, and return its first request, which waits."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    full.page.route(asks, hold)
    full.page.click("#export > summary")
    with full.page.expect_request(asks):
        full.page.click(f"[data-export={key}]")
    full.settle()
    return held[0]


@pytest.mark.parametrize("key", ["pptx", "pdf-slides", "zip"])
def test_titles_and_pictures_are_of_one_selection(full: Watched, key: str) -> None:
    full.open("/ppl-bits?method=main")
    figures = begin(full, key, "**/export/pictures?*")
    full.turn("/ppl-bits?method=unsloth")
    with full.page.expect_request("**/export/comparison.*") as posted, full.page.expect_download():
        figures.continue_()
    for url in (figures.request.url, posted.value.url):
        assert parse_qs(urlsplit(url).query)["method"] == ["main"]


@pytest.mark.parametrize("key", ["png-1", "pdf"])
def test_a_picture_is_of_the_page_of_the_click(full: Watched, key: str) -> None:
    full.open("/ppl-bits")
    full.plotted()
    figure = begin(full, key, "**/export/picture/*")
    full.turn("/summary")
    with full.page.expect_download() as waiting:
        figure.continue_()
    assert waiting.value.suggested_filename.startswith("Synthetic-135M-ppl-bits.")
    expect(full.page.locator("#said")).to_contain_text("Saved")
    assert full.complaints == []


def test_a_picture_has_the_zoom_of_the_click(full: Watched) -> None:
    full.open("/ppl-bits")
    full.plotted()
    full.page.evaluate(f"Plotly.relayout({PLOT}, {{'xaxis.range': [4, 5]}})")
    full.page.evaluate(KEEP_RANGES)
    figure = begin(full, "png-1", "**/export/picture/*")
    full.turn("/degradation")
    full.plotted()
    with full.page.expect_download():
        figure.continue_()
    assert full.page.evaluate("window.ranges") == [[4, 5]]
