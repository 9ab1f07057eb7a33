"""No page has a violation that axe rates serious or critical, in either theme."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from driving import Watched

from dashboard.views import registry

pytestmark = pytest.mark.browser

#: All pages but Measure, which is in `test_measuring.py`.
PAGES = (
    "/?gb=0.1",
    "/ppl-bits?method=main&pick=main-q4_0",
    *(f"/{view.id}" for view in registry() if view.id != "ppl-bits"),
    "/compare",
    "/explore",
    "/summary",
    "/nowhere",
)
#: The rules whose outcome the theme decides.
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}


@pytest.mark.parametrize("path", PAGES)
def test_axe(full: Watched, path: str) -> None:
    full.open(path)
    full.settle()
    assert serious(full) == []
    full.page.keyboard.press("t")
    full.settle()
    assert full.page.get_attribute("html", "data-bs-theme") == "dark"
    assert serious(full, runOnly=COLOURS) == []


def test_axe_on_a_phone(phone: Watched) -> None:
    phone.open("/")
    for path in ("/compare", "/summary", "/size"):
        phone.turn(path)
        phone.settle()
        assert serious(phone) == [], path


def serious(seen: Watched, **rules: object) -> list[str]:
    # A plot's SVG has thousands of nodes without roles; the page's title and caption describe it.
    context = {"exclude": [["#graph"]]}
    found = (
        Axe()
        .run(seen.page, context=context, options={"resultTypes": ["violations"], **rules})
        .response["violations"]
    )
    return [
        f"{item['id']}: {item['nodes'][0]['html'][:200]}"
        for item in found
        if item["impact"] in {"serious", "critical"}
    ]
