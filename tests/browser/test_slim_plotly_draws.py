"""Every view, options included, drawn by the slim plotly.js."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from driving import PLOT, Watched, served, watched
from playwright.sync_api import Browser
from results_factory import make_results

from dashboard.figures.slim_plotly import TRACES, make_slim_file
from dashboard.views import registry

pytestmark = pytest.mark.browser
ADDRESSES = [
    address
    for view in registry()
    for address in (
        f"/{view.id}",
        *(f"/{view.id}?{option.key}={value}" for option in view.options for value, _ in option.choices[1:]),
    )
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a folder with all measurements, so that every view and option has data."""
    make_slim_file()
    with served(make_results(tmp_path_factory.mktemp("full"), with_attribution=True)) as address:
        yield address


@pytest.fixture
def measured(browser: Browser, url: str) -> Iterator[Watched]:
    with watched(browser, url) as seen:
        yield seen


def test_every_trace_is_drawn_as_what_it_is(measured: Watched) -> None:
    measured.open("/summary")
    measured.page.wait_for_function("window.Plotly")
    assert measured.page.evaluate("Object.keys(Plotly.PlotSchema.get().traces).sort()") == sorted(TRACES)
    seen = set()
    for address in ADDRESSES:
        measured.turn(address)
        measured.plotted()
        wanted, drawn = (
            measured.page.evaluate(f"{PLOT}.{name}.map(trace => trace.type)")
            for name in ("data", "_fullData")
        )
        assert wanted, address
        assert drawn == wanted, address
        seen |= set(drawn)
    assert seen == set(TRACES)
    assert sum("plotly.min.js" in url for url in measured.requests) == 1
    assert measured.complaints == []
