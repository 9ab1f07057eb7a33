"""What a person waits for: milliseconds from an action to the redrawn plot, in a headless Chromium.

The folder has 105 variants of 3 models and 1.1 million scored tokens. Each line is the median of the repetitions,
with the slowest behind it. First plots are those of a browser just started: of the dashboard with the slim
plotly.js (`python -m dashboard slim` makes it), with the stock one, and of the same figure in plotly's own HTML file.
"""

from __future__ import annotations

import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserType, Page, ViewportSize, sync_playwright

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "browser"), str(TESTS.parent)]

from driving import served  # noqa: E402
from many_models import make_models  # noqa: E402

from dashboard.render import render  # noqa: E402
from dashboard.results import Results  # noqa: E402
from dashboard.selection import Selection  # noqa: E402
from dashboard.slim_plotly import slim_file  # noqa: E402

REPETITIONS = 5
FLAGS = ["--no-sandbox", "--disable-gpu"]
SIZE: ViewportSize = {"width": 1280, "height": 720}
POINT = ".js-plotly-plot .scatterlayer .point"
WATCH = """() => {
    const plot = document.querySelector('#graph .js-plotly-plot');
    if (plot.dataset.timed) return;
    plot.dataset.timed = 'yes';
    plot.on('plotly_afterplot', () => { window.drawnAt = performance.now(); });
}"""
ACT = """action => new Promise(resolve => {
    const started = performance.now();
    window.drawnAt = 0;
    eval(action);
    const look = () => {
        const idle = performance.now() - started > 5000;
        if (window.drawnAt > started && performance.now() - window.drawnAt > 150) resolve(window.drawnAt - started);
        else if (idle) resolve(NaN);
        else setTimeout(look, 20);
    };
    look();
})"""
ACTIONS = {
    "turn to a view": "document.getElementById('tab-size').click()",
    "turn back": "document.getElementById('tab-ppl-bits').click()",
    "tick a method": "document.querySelector('#filter-method input').click()",
    "untick it": "document.querySelector('#filter-method input').click()",
    "one text only": "document.querySelector('#filter-domain input').click()",
    "all texts again": "document.querySelector('#filter-domain input').click()",
}


def main() -> None:
    """Print the waiting times."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_models(
            Path(scratch),
            ("Alpha-1B", "Beta-3B", "Gamma-8B"),
            methods=("bartowski", "unsloth", "main", "guided", "awq"),
            tokens_per_window=255,
            windows=40,
        )
        static = Path(scratch, "static.html")
        drawn = render(Results.open(folder), "/ppl-bits", Selection()).figure
        if drawn is not None:
            drawn.write_html(static, include_plotlyjs=True)
        slim = slim_file()
        with served(folder) as url, stock(folder) as stock_url, sync_playwright() as playwright:
            addresses = {"first plot, slim": f"{url}/ppl-bits"} if slim else {}
            addresses |= {"first plot, stock": f"{stock_url}/ppl-bits", "static HTML": static.as_uri()}
            report(first_plots(playwright.chromium, chromium, addresses))
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport=SIZE)
            page.goto(f"{url}/ppl-bits")
            page.wait_for_selector(POINT)
            page.wait_for_timeout(5000)
            report(actions(page))
            browser.close()


@contextmanager
def stock(folder: Path) -> Iterator[str]:
    """Serve as if no slim plotly.js had been made."""
    with tempfile.TemporaryDirectory() as empty, pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALUATOR_CACHE", empty)
        with served(folder) as url:
            yield url


def first_plots(chromium: BrowserType, path: str | None, addresses: dict[str, str]) -> dict[str, list[float]]:
    """Time from an address to its plot in a new browser process, by turns."""
    times: dict[str, list[float]] = {name: [] for name in addresses}
    for _ in range(REPETITIONS):
        for name, address in addresses.items():
            browser = chromium.launch(executable_path=path, args=FLAGS)
            page = browser.new_page(viewport=SIZE)
            started = time.perf_counter()
            page.goto(address, wait_until="commit")
            page.wait_for_selector(POINT)
            times[name].append(1000 * (time.perf_counter() - started))
            browser.close()
    return times


def actions(page: Page) -> dict[str, list[float]]:
    """Time every action `REPETITIONS` times, in turn."""
    page.evaluate(WATCH)
    times: dict[str, list[float]] = {name: [] for name in ACTIONS}
    for _ in range(REPETITIONS):
        for name, action in ACTIONS.items():
            times[name].append(page.evaluate(ACT, action))
    return times


def report(times: dict[str, list[float]]) -> None:
    """Print a line for each name, in milliseconds."""
    write: Callable[[str], object] = sys.stdout.write
    for name, found in times.items():
        write(f"{name:18s} {statistics.median(found):6.0f} ms, slowest {max(found):6.0f} ms\n")


if __name__ == "__main__":
    main()
