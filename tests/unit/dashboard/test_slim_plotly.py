"""The slim plotly.js knows every trace that is drawn, serves where it is whole, and fails to be made in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs
from results_factory import make_results

from dashboard import slim_plotly
from dashboard.app import create_app
from dashboard.charts import message_figure
from dashboard.export.document import document
from dashboard.export.exhibit import exhibits
from dashboard.export.slide import picture
from dashboard.results import Results
from dashboard.selection import EVERYTHING, Selection
from dashboard.serving import PLOTLY
from dashboard.slim_plotly import TRACES, SlimError, entry_code, keep, make_slim_file, slim_file
from dashboard.views import View, registry

ROOT = Path(__file__).resolve().parents[3]
STAND_IN = b"/* stand-in */ window.Plotly = {};"
PICKS = ((), ("main-q4_0", "unsloth-q8_0"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return Results.open(make_results(tmp_path_factory.mktemp("full"), with_attribution=True))


def kinds(figures: Iterable[go.Figure]) -> set[str]:
    return {trace.type for figure in figures for trace in figure.data}


def selections(view: View) -> list[Selection]:
    chosen = [{option.key: value} for option in view.options for value, _ in option.choices]
    return [Selection.of(picked=picked, options=options) for options in chosen or [{}] for picked in PICKS]


def test_the_traces_are_those_that_are_drawn(results: Results) -> None:
    shown = exhibits(results, EVERYTHING)
    drawn = kinds(view.figure(results, chosen) for view in registry() for chosen in selections(view))
    drawn |= kinds(item.figure for item in shown) | kinds([message_figure("none").checked()])
    slides = [picture(results, EVERYTHING, item, "light").figure for item in shown]
    drawn |= {trace["type"] for slide in slides for trace in slide["data"]}
    assert drawn == set(TRACES)


def test_every_trace_is_registered() -> None:
    for name in TRACES:
        assert f'require("plotly.js/lib/{name}")' in entry_code()


def test_another_list_of_traces_is_another_file(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(STAND_IN)
    assert slim_file() is not None
    monkeypatch.setattr(slim_plotly, "TRACES", (*TRACES, "violin"))
    assert slim_file() is None


def test_the_slim_file_is_served_once_it_is_there(one_method: Path) -> None:
    stock = create_app(one_method).server.test_client().get(PLOTLY)
    assert stock.text == get_plotlyjs()
    keep(STAND_IN)
    slim = create_app(one_method).server.test_client().get(PLOTLY)
    assert slim.data == STAND_IN
    assert slim.content_type.startswith("text/javascript")
    assert slim.headers["ETag"] != stock.headers["ETag"]


@pytest.mark.parametrize("harm", ["cut short", "no checksum", "bad checksum"])
def test_a_file_that_is_not_whole_is_left_alone(harm: str, one_method: Path) -> None:
    file = keep(STAND_IN)
    checksum = file.with_name(f"{file.name}.sha256")
    if harm == "cut short":
        file.write_bytes(STAND_IN[:-1])
    elif harm == "no checksum":
        checksum.unlink()
    else:
        checksum.write_bytes(b"\xff\xfe")
    assert slim_file() is None
    assert create_app(one_method).server.test_client().get(PLOTLY).text == get_plotlyjs()


def test_the_page_that_opens_offline_carries_the_slim_file(results: Results) -> None:
    stock = document(results, EVERYTHING)
    keep(STAND_IN)
    slim = document(results, EVERYTHING)
    assert STAND_IN.decode() in slim
    assert len(stock) - len(slim) > 0.9 * len(get_plotlyjs())


def test_what_is_made_already_needs_no_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    file = keep(STAND_IN)
    assert make_slim_file() == file


def command(name: str, folder: Path, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'no such version' >&2; exit 1", "npm failed: no such version"),
        ("exec sleep 30", "npm took too long"),
    ],
)
def test_npm_that_fails_or_hangs(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    for name in ("npm", "node"):
        command(name, tmp_path / "bin", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(SlimError, match=reason):
        make_slim_file(limit=0.3)
    assert not cache.exists()


def test_without_npm_one_line_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dashboard", "slim"],
        cwd=ROOT,
        env=os.environ | {"PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert (
        done.stderr == "No slim plotly.js: npm and node are needed, install Node.js. The stock one serves.\n"
    )
