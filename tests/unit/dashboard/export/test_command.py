"""The command that writes decks, pages, reports and archives, and what it refuses."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from many_models import make_models
from pptx import Presentation

from dashboard.export.command import ExportError, export

ROOT = Path(__file__).resolve().parents[4]


def test_command_writes_what_needs_no_browser(three_methods: Path, tmp_path: Path) -> None:
    for name, start in (("a.html", b"<!DOCTYPE html>"), ("a.md", b"# Synthetic")):
        export(three_methods, tmp_path / name, "?method=main", "dark")
        assert (tmp_path / name).read_bytes().lstrip().startswith(start)
    assert "unsloth Q4" not in (tmp_path / "a.md").read_text()


@pytest.mark.parametrize(
    ("name", "theme", "says"),
    [
        ("a.gif", "light", ".pptx, .pdf, .html"),
        ("a.md", "blue", "--theme blue"),
        ("no/a.md", "light", "cannot"),
    ],
)
def test_command_refuses(three_methods: Path, tmp_path: Path, name: str, theme: str, says: str) -> None:
    with pytest.raises(ExportError, match=re.escape(says)):
        export(three_methods, tmp_path / name, "", theme)


@pytest.mark.parametrize("query", ["methods=main", "bits=wide", "main", "bin=-1", "x=inches", "method="])
def test_command_refuses_a_query_that_it_would_ignore(
    three_methods: Path, tmp_path: Path, query: str
) -> None:
    with pytest.raises(ExportError, match="--select") as refused:
        export(three_methods, tmp_path / "a.md", f"quant=Q4_0&{query}")
    assert query.split("=", maxsplit=1)[0] in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("domain=typo", "no such text domain; it has code, dialogue, encyclopedic and narrative"),
        ("method=mian", "no such method; did you mean main?"),
        ("quant=q4_0", "no such quant type; did you mean Q4_0?"),
        ("model=Small", "no such model; it has Synthetic-135M"),
        ("device=cuda", "no such device; it has cpu"),
        ("role=attnq", "no such role; did you mean attn_q?"),
        ("layer=900", "no such layer; it has -1, 0, 1, 2, 3, 4, 5 and 6 more"),
        ("pick=main-q40", "no such variant; did you mean main-q4_0?"),
        ("only=x", "no such variant; it has bartowski-q2_k"),
        ("a=typo", "no such variant"),
        ("rise=much", "“much” is not understood: write 3 %"),
        ("gb=1,000 MB", "may mean thousands or decimals"),
        ("tps=0", "must be above 0"),
    ],
)
def test_command_refuses_what_the_folder_does_not_hold(
    three_methods: Path, tmp_path: Path, query: str, says: str
) -> None:
    with pytest.raises(ExportError) as refused:
        export(three_methods, tmp_path / "a.md", f"bits=3-5&{query}")
    assert f"--select: {query}: " in str(refused.value)
    assert says in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_command_says_that_layers_were_not_measured(one_method: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="layer=1: this folder has no layer"):
        export(one_method, tmp_path / "a.md", "layer=1")


def test_command_takes_links_and_remarks_that_nothing_matches(three_methods: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.md"
    link = "?results=other&method=main&bits=3-5&x=gb&form=parallel&gb=2&pick=main-q4_0"
    assert export(three_methods, out, link) == []
    assert "bits=0-1" in export(three_methods, out, "method=main&bits=0-1")[0]
    assert "No variant matches" in out.read_text()


def test_command_draws_where_an_event_loop_runs(
    three_methods: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left undone, with a warning, where the caller is asynchronous."""
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))

    async def from_a_notebook() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            export(three_methods, tmp_path / "a.pptx")

    # In a thread of its own: where browser tests ran before, this one has a loop already.
    with ThreadPoolExecutor(1) as pool, pytest.raises(ExportError, match=r"drawing failed: (?!RuntimeError)"):
        pool.submit(asyncio.run, from_a_notebook()).result()


def test_command_without_a_chrome(
    three_methods: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deck is refused, or made of PowerPoint's own charts where that is asked for."""
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    out = tmp_path / "a.pptx"
    for refused in (out, tmp_path / "a.pdf"):
        with pytest.raises(ExportError, match="--editable"):
            export(three_methods, refused)
        assert not refused.exists()
    assert "without pictures" in export(three_methods, out, editable=True)[0]
    slides = Presentation(str(out)).slides
    assert any(shape.has_chart for slide in slides for shape in slide.shapes)


def test_a_wrong_request_is_one_line_and_status_2(three_methods: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "dashboard",
        "export",
        str(three_methods),
        "--out",
        str(tmp_path / "a.gif"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "a.gif" in done.stderr


@pytest.fixture(scope="module")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alpha, which is shown by default, with Q2_K and Q8_0, and Beta with Q4_0 and Q8_0."""
    folder = tmp_path_factory.mktemp("models") / "two"
    make_models(folder, ("Alpha", "Beta"), methods=("main",), windows=2)
    path = folder / "variants.parquet"
    ends = {"Alpha": ("q2_k", "q8_0"), "Beta": ("q4_0", "q8_0")}
    kept = [f"{model}-main-{end}" for model, both in ends.items() for end in both]
    frame = pl.read_parquet(path)
    frame.filter(pl.col("is_baseline") | pl.col("variant_id").is_in(kept)).write_parquet(path)
    return folder


@pytest.mark.parametrize(
    ("query", "model", "filters"),
    [
        ("quant=Q8_0", "Alpha", "type Q8_0"),
        ("quant=Q4_0", "Beta", "type Q4_0"),
        ("quant=Q4_0&quant=Q8_0", "Beta", "Q4_0"),
        ("a=Beta-main-q4_0", "Beta", "none"),
    ],
)
def test_command_takes_the_model_that_has_what_is_selected(
    two_models: Path, tmp_path: Path, query: str, model: str, filters: str
) -> None:
    assert export(two_models, tmp_path / "a.md", query) == []
    rows = (tmp_path / "a.md").read_text().replace("\\_", "_").splitlines()
    assert f"| Model | {model} |" in rows
    assert filters in next(row for row in rows if row.startswith("| Filters |"))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("model=Alpha&quant=Q4_0", "quant=Q4_0: Alpha has no such quant type; models that have it: Beta"),
        ("quant=Q2_K&quant=Q4_0", "quant=Q4_0: Alpha has no such quant type; models that have it: Beta"),
        (
            "pick=Alpha-main-q2_k&quant=Q4_0",
            "quant=Q4_0: Alpha has no such quant type; models that have it: Beta",
        ),
        (
            "model=Beta&a=Alpha-main-q2_k",
            "a=Alpha-main-q2_k: Beta has no such variant; models that have it: Alpha",
        ),
    ],
)
def test_command_refuses_what_the_shown_model_does_not_have(
    two_models: Path, tmp_path: Path, query: str, says: str
) -> None:
    with pytest.raises(ExportError, match="--select: " + re.escape(says)):
        export(two_models, tmp_path / "a.md", query)
    assert not list(tmp_path.iterdir())


def test_command_takes_values_of_any_of_several_models(two_models: Path, tmp_path: Path) -> None:
    assert export(two_models, tmp_path / "a.md", "model=Beta&model=Alpha&quant=Q2_K&quant=Q4_0") == []
    assert "| Selected | 2 of 4 variants |" in (tmp_path / "a.md").read_text()
