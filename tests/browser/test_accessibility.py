"""No page has a violation that axe rates serious or critical, in either theme."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from driving import Watched, watched
from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

PAGES = (
    "/?gb=0.1",
    "/ppl-bits?method=main&pick=main-q4_0",
    "/layers",
    "/confidence",
    "/compare",
    "/explore",
    "/summary",
    "/nowhere",
)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe(browser: Browser, full_url: str, path: str, theme: str) -> None:
    with watched(browser, full_url) as seen:
        check(seen, path, theme)


def check(seen: Watched, path: str, theme: str) -> None:
    seen.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of two
    seen.open(path)
    seen.settle()
    # A plot's SVG has thousands of nodes without roles; the page's title and caption describe it.
    context = {"exclude": [["#graph"]]}
    found = Axe().run(seen.page, context=context).response["violations"]
    serious = [
        f"{item['id']}: {item['nodes'][0]['html'][:200]}"
        for item in found
        if item["impact"] in {"serious", "critical"}
    ]
    assert serious == []
