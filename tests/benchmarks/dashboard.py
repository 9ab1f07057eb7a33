"""What a person waits for: milliseconds from an action to the redrawn plot, in a headless Chromium.

The folder has 105 variants of 3 models and 1.1 million scored tokens. Each line is the median of the repetitions,
with the slowest behind it; the first line is the time from an address to the first plot.
"""

from __future__ import annotations

import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "browser"), str(TESTS.parent)]

from driving import served  # noqa: E402
from many_models import make_models  # noqa: E402

REPETITIONS = 5
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
        with served(folder) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            started = time.perf_counter()
            page.goto(f"{url}/ppl-bits")
            page.wait_for_selector("#graph .scatterlayer .point")
            sys.stdout.write(f"{'first plot':18s} {1000 * (time.perf_counter() - started):6.0f} ms\n")
            page.wait_for_timeout(5000)
            report(page)
            browser.close()


def report(page: Page) -> None:
    """Time every action `REPETITIONS` times, in turn."""
    page.evaluate(WATCH)
    times: dict[str, list[float]] = {name: [] for name in ACTIONS}
    for _ in range(REPETITIONS):
        for name, action in ACTIONS.items():
            times[name].append(page.evaluate(ACT, action))
    write: Callable[[str], object] = sys.stdout.write
    for name, found in times.items():
        write(f"{name:18s} {statistics.median(found):6.0f} ms, slowest {max(found):6.0f} ms\n")


if __name__ == "__main__":
    main()
