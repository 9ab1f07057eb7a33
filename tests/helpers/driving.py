"""Serve the dashboard to a browser, and watch its page."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request
from werkzeug.serving import make_server

from dashboard.local.routes import Local
from dashboard.server.app import create_app

#: Milliseconds without any progress after which a page hangs; generous, because the machine may be busy.
HANGS = 120_000
#: Forgets, before a new page's first document, what earlier pages stored: at their end they may still be storing.
FORGET = """
if (!window.sessionStorage.getItem("begun")) window.localStorage.clear();
window.sessionStorage.setItem("begun", "yes");
"""
#: dash-ag-grid may ask a table that has just left the page for its selection; nothing is lost by that.
LEAVING = "AG Grid: warning #26 Grid API function getSelectedRows()"
PLOT = "document.querySelector('#graph .js-plotly-plot')"
#: Methods whose traces are drawn; filtered-out methods are in the legend only.
DRAWN = f"""[...new Set(({PLOT}?._fullData || [])
    .filter(trace => trace.visible === true && ['bartowski', 'main', 'unsloth'].includes(trace.name))
    .map(trace => trace.name))].sort()"""
#: Position of a variant's marker on the page, as {x, y}.
MARKER = """id => {
    const plot = document.querySelector('#graph .js-plotly-plot');
    for (const trace of plot._fullData) {
        const index = (trace.customdata || []).findIndex(data => data[0] === id);
        if (index < 0 || trace.type !== 'scatter') continue;
        const [x, y] = [plot._fullLayout.xaxis, plot._fullLayout.yaxis];
        const box = plot.getBoundingClientRect();
        return {x: box.x + x._offset + x.d2p(trace.x[index]), y: box.y + y._offset + y.d2p(trace.y[index])};
    }
    return null;
}"""
#: Whether Dash has put the last answer on the page: it marks what waits for one.
ANSWERED = "document.querySelector('#title:not(:empty)') && !document.querySelector('[data-dash-is-loading]')"
#: Whether the plot is the page's, listens to the mouse and fills its place, which the texts around it decide.
PLOTTED = f"""{PLOT}?.dataset.listening
    && {PLOT}._fullLayout?.uirevision === (window.location.pathname.slice(1) || "overview")
    && !document.querySelector('[data-dash-is-loading]')
    && Math.abs({PLOT}._fullLayout.width - {PLOT}.getBoundingClientRect().width) < 1
    && Math.abs({PLOT}._fullLayout.height - {PLOT}.getBoundingClientRect().height) < 1"""

#: Whether the table has its rows, where the page has one.
TABLED = "window.location.pathname !== '/explore' || document.querySelector('#grid .ag-row .ag-cell')"


@dataclass
class Watched:
    """A page, with its requests and its errors."""

    page: Page
    base: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    opening: int = 0

    def updates(self) -> int:
        """Count the requests for a screen, without those that opened the page."""
        return sum("_dash-update-component" in url for url in self.requests) - self.opening

    def foreign(self) -> list[str]:
        return [url for url in self.requests if not url.startswith((self.base, "data:", "blob:"))]

    def open(self, path: str) -> None:
        """Load a page and wait for Dash's answer: a plot is there before it."""
        with self.page.expect_response("**/_dash-update-component*"):
            self.page.goto(self.base + path)
        self.page.wait_for_function(ANSWERED)
        self.opening += self.updates()

    def turn(self, path: str) -> None:
        """Show another address in the page that is loaded, and wait for the answer."""
        with self.page.expect_response("**/_dash-update-component*"):
            self.page.evaluate("path => window.address.go(path)", path)
        self.page.wait_for_function(ANSWERED)

    def settle(self) -> None:
        """Wait long enough for a second request, if there is one."""
        self.page.wait_for_timeout(350)

    def drawn(self) -> list[str]:
        """Return the methods that the plot shows."""
        names: list[str] = self.page.evaluate(DRAWN)
        return names

    def wait_drawn(self, *methods: str) -> None:
        wanted = json.dumps(json.dumps(methods, separators=(",", ":")))
        self.page.wait_for_function(f"JSON.stringify({DRAWN}) === {wanted}")

    def plotted(self) -> None:
        """Wait until this page's plot is drawn, stands still and reacts to the mouse."""
        self.page.wait_for_function(PLOTTED)

    def shown(self) -> None:
        """Wait until the page is shown, with its plot and its table if it has them."""
        self.page.wait_for_function(f"!document.querySelector('#stage.shows-graph') || ({PLOTTED})")
        self.page.wait_for_function(TABLED)

    def marker(self, variant: str) -> dict[str, float]:
        """Return the position of a variant's marker, after the plot is drawn."""
        self.plotted()
        self.page.wait_for_function(f"(({MARKER})({json.dumps(variant)})) !== null")
        place: dict[str, float] = self.page.evaluate(MARKER, variant)
        return place

    def click_marker(self, variant: str) -> None:
        place = self.marker(variant)
        self.click_point(place["x"], place["y"])

    def click_point(self, x: float, y: float) -> None:
        """Click what the plot shows there.

        Plotly updates the hovered point about 50 ms after the mouse moved, later on a busy machine; an earlier click
        hits nothing.
        """
        self.page.mouse.move(x - 3, y - 2)
        self.page.mouse.move(x, y, steps=3)
        self.page.wait_for_function(f"{PLOT}._hoverdata?.length > 0")
        self.page.mouse.click(x, y)


@contextmanager
def served(*folders: Path, local: Local | None = None) -> Iterator[str]:
    app = create_app(*folders, local=local)
    server = make_server("127.0.0.1", 0, app.server, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    if local is not None:
        local.close()


def shared_context(browser: Browser, base: str) -> BrowserContext:
    """Return the one context of all tests, whose first page stays open.

    Pages of a site share a process as long as one of them is open, and a process compiles a script once: each
    further page takes less than half as long.
    """
    if not browser.contexts:
        context = browser.new_context(color_scheme="light")
        context.set_default_timeout(HANGS)
        context.new_page().goto(f"{base}/assets/icon.svg")
    return browser.contexts[0]


@contextmanager
def watched(browser: Browser, base: str, width: int = 1280, height: int = 720) -> Iterator[Watched]:
    """Open a page that nothing is stored for; permissions are gone afterwards."""
    context = shared_context(browser, base)
    page = context.new_page()
    page.add_init_script(FORGET)
    page.set_viewport_size({"width": width, "height": height})
    seen = Watched(page, base)

    def on_console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and LEAVING not in message.text:
            seen.complaints.append(message.text)

    def on_request(request: Request) -> None:
        seen.requests.append(request.url)

    page.on("console", on_console)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", on_request)
    yield seen
    context.clear_permissions()
    page.close()
