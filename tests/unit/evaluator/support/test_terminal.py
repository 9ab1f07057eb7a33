"""Names and texts from files have no effect on the terminal: neither markup nor escape sequences."""

from __future__ import annotations

import io
import json
import shutil

import gguf
import polars as pl
import pytest
from rich.console import Console
from tiny_models import write_tiny_llama

from evaluator.commands.inspect_recipe import compare_recipes
from evaluator.commands.run import inspect_source
from evaluator.quantize.batch import making_progress
from evaluator.support.progress import RunProgress
from evaluator.support.terminal import say, table_of

HOSTILE = ["wiki[/old].txt", "[bold]x[/bold]", "\x1b]0;pwned\x07\x1b[2J", "a\nb"]
STRING, ARRAY = gguf.GGUFValueType.STRING, gguf.GGUFValueType.ARRAY


def as_shown(text):
    """Return the part of a hostile text that may be shown: brackets unchanged, no control characters."""
    return " ".join(
        "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text).split()
    )


def unwrapped(text):
    """Return `text` without white space, because titles wrap at the width of their table."""
    return "".join(text.split())


def printed(show):
    """Return what `show` writes on a console without colours and cursor movements."""
    said = io.StringIO()
    show(Console(file=said, width=500))
    assert "\x1b" not in said.getvalue()
    assert "\x07" not in said.getvalue()
    return said.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_messages_and_every_part_of_a_table_show_texts_as_they_are(text):
    assert printed(lambda console: say(console, text)) == f"{as_shown(text)}\n"
    for table in (
        table_of(["h"], [[text]]),
        table_of(["h"], [[["first", text]]]),
        table_of(["h"], [["cell"]], title=text),
        table_of(["h"], [["cell"]], caption=text),
    ):
        assert unwrapped(as_shown(text)) in unwrapped(
            printed(lambda console, table=table: console.print(table))
        )


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", ["run", "making files"])
def test_progress_bars_show_texts_as_they_are(text, kind):
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=200, color_system=None)
    if kind == "run":
        with RunProgress(console) as progress:
            progress.step(text)
    else:
        with making_progress(console) as bars:
            bars.add_task(text)
    assert as_shown(text) in said.getvalue()
    assert "pwned\x07" not in said.getvalue()
    assert "\x1b[2J" not in said.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_inspect_shows_what_a_file_says_of_itself_as_it_is(tmp_path, text):
    keys = ("quantize.imatrix.dataset", "quantize.recipe", "general.name")
    path = write_tiny_llama(tmp_path / "m.gguf", metadata=dict.fromkeys(keys, (text, STRING)))
    facts, table = inspect_source(str(path))
    shown = unwrapped(printed(lambda console: console.print(table)))
    assert unwrapped(f"imatrix.dataset: {as_shown(text)}") in shown
    assert facts["models"][0]["recipe"]["provenance"]["quantize.imatrix.dataset"] == text


def test_inspect_and_compare_show_names_of_files_as_they_are(tmp_path):
    first, second = (write_tiny_llama(tmp_path / f"m[bold]{letter}.gguf") for letter in "ab")
    _, table = inspect_source(str(first))
    assert "m[bold]a.gguf" in printed(lambda console: console.print(table))
    _, differing = compare_recipes(str(first), str(second))
    shown = unwrapped(printed(lambda console: console.print(differing)))
    assert unwrapped("m[bold]a.gguf → m[bold]b.gguf") in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_inspect_shows_what_results_say_as_it_is(three_methods, tmp_path, text):
    folder = tmp_path / "results"
    shutil.copytree(three_methods, folder)
    rows = pl.read_parquet(folder / "variants.parquet").with_columns(method=pl.lit(text))
    rows.write_parquet(folder / "variants.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"model": text}))
    _, table = inspect_source(str(folder))
    shown = printed(lambda console: console.print(table)).splitlines()
    assert as_shown(text) in shown[0]
    assert sum(as_shown(text) in line for line in shown) > rows.height


@pytest.mark.parametrize("value", [[1, 2], [[1], [2, 3]], ["a", "b"], [0.5]])
def test_arrays_where_a_text_belongs_are_data_too(tmp_path, value):
    path = write_tiny_llama(tmp_path / "m.gguf", metadata={"quantize.imatrix.dataset": (value, ARRAY)})
    facts, table = inspect_source(str(path))
    written = json.loads(json.dumps(facts))
    assert written["models"][0]["recipe"]["provenance"]["quantize.imatrix.dataset"] == value
    assert "imatrix.dataset:[" in unwrapped(printed(lambda console: console.print(table)))
