"""What a person waits for: milliseconds from an action to the redrawn plot, in a headless Chromium.

Actions are timed on the sample and on a folder with 105 variants of 3 models and 1.1 million scored tokens. Each
line is the median of the repetitions, with the slowest behind it. First plots are those of a browser just started: of
the dashboard with the slim plotly.js, with the stock one, of the same figure in plotly's own HTML file, and in
Streamlit where `STREAMLIT` names its program. Half a second without a drawing lies between two actions, as a person
would leave.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import plotly.graph_objects as go
from playwright.sync_api import BrowserType, Page, ViewportSize, sync_playwright

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "helpers"), str(TESTS.parent)]

from many_models import make_models  # noqa: E402

from dashboard.results.results import Results  # noqa: E402
from dashboard.results.scope import Scope  # noqa: E402
from dashboard.results.selection import Selection  # noqa: E402
from dashboard.views import registry  # noqa: E402

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
        if (window.drawnAt > started && performance.now() - window.drawnAt > 500) resolve(window.drawnAt - started);
        else if (idle) resolve(NaN);
        else setTimeout(look, 20);
    };
    look();
})"""
DRAW_ALL = """async () => {
    const started = performance.now();
    const pictures = await (await fetch('/export/pictures?theme=light')).json();
    for (const item of pictures) {
        await Plotly.toImage(item.figure, {format: 'png', width: item.width, height: item.height, scale: item.scale});
    }
    return performance.now() - started;
}"""
SAMPLE = TESTS.parent / "sample_results"
SHOW = """import json, pathlib
import plotly.io, streamlit
streamlit.set_page_config(layout="wide")
streamlit.plotly_chart(plotly.io.from_json(pathlib.Path(__file__).with_name("figure.json").read_text()))
"""
ACTIONS = {
    "turn to a view": "document.getElementById('tab-size').click()",
    "turn back": "document.getElementById('tab-ppl-bits').click()",
    "tick a method": "document.querySelector('#filter-method input').click()",
    "untick it": "document.querySelector('#filter-method input').click()",
    "one text only": "document.querySelector('#filter-domain input').click()",
    "all texts again": "document.querySelector('#filter-domain input').click()",
    "types never seen": "document.querySelectorAll('#filter-quant input')[REPETITION].click()",
}


def main() -> None:
    """Print the waiting times."""
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
        drawn = registry()[0].figure(Scope(Results.open(folder), Selection()))
        drawn.write_html(static, include_plotlyjs=True)
        with (
            served(folder) as url,
            served(SAMPLE) as sample_url,
            stock(folder) as stock_url,
            streamlit(drawn, Path(scratch)) as streamlit_url,
            sync_playwright() as playwright,
        ):
            addresses = {"first plot, slim": f"{url}/ppl-bits"}
            addresses |= {"first plot, stock": f"{stock_url}/ppl-bits", "static HTML": static.as_uri()}
            addresses |= {"Streamlit": streamlit_url} if streamlit_url else {}
            report(first_plots(playwright.chromium, chromium, addresses))
            for name, address in (("sample", sample_url), ("large", url)):
                browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                page = browser.new_page(viewport=SIZE)
                page.goto(f"{address}/ppl-bits")
                page.wait_for_selector(POINT)
                page.wait_for_timeout(3000)
                report({f"{name}: {action}": times for action, times in actions(page).items()})
                report(
                    {f"{name}: slides of all views": [page.evaluate(DRAW_ALL) for _ in range(REPETITIONS)]}
                )
                browser.close()


@contextmanager
def served(folder: Path, **environment: str) -> Iterator[str]:
    """Serve a folder as a user does: with the command, in a process of its own."""
    command = [sys.executable, "-m", "dashboard", str(folder), "--no-browser"]
    with subprocess.Popen(
        command, cwd=TESTS.parent, env=os.environ | environment, stdout=subprocess.PIPE, text=True
    ) as server:
        said = server.stdout.readline() if server.stdout else ""
        try:
            yield said.split()[2].rstrip("/")
        finally:
            server.terminate()


@contextmanager
def stock(folder: Path) -> Iterator[str]:
    """Serve as if no slim plotly.js could be made: the cache is no folder."""
    with tempfile.NamedTemporaryFile() as file, served(folder, EVALUATOR_CACHE=file.name) as url:
        yield url


@contextmanager
def streamlit(figure: go.Figure, scratch: Path) -> Iterator[str]:
    """Serve the figure with Streamlit, if `STREAMLIT` names its program; give an empty address if not."""
    program = os.environ.get("STREAMLIT")
    if program is None:
        yield ""
        return
    (scratch / "figure.json").write_text(figure.to_json())
    script = scratch / "show.py"
    script.write_text(SHOW)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--server.headless=true", f"--server.port={port}", "--browser.gatherUsageStats=false"]
    with subprocess.Popen([program, "run", str(script), *options], stdout=subprocess.DEVNULL) as server:
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(120):
                with suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health"):
                    break
                time.sleep(0.5)
            yield address
        finally:
            server.terminate()


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
    for repetition in range(REPETITIONS):
        for name, action in ACTIONS.items():
            times[name].append(page.evaluate(ACT, action.replace("REPETITION", str(repetition))))
    return times


def report(times: dict[str, list[float]]) -> None:
    """Print a line for each name, in milliseconds."""
    write: Callable[[str], object] = sys.stdout.write
    for name, found in times.items():
        write(f"{name:24s} {statistics.median(found):6.0f} ms, slowest {max(found):6.0f} ms\n")


if __name__ == "__main__":
    main()
