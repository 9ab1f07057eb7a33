"""The commands that build a measured file's mix, as a shell would read them."""

from __future__ import annotations

import shlex

import polars as pl
import pytest
from typer.testing import CliRunner

from dashboard.export.exhibit import exhibit
from dashboard.insights.mixes import mixes
from dashboard.pages.parts import insight_list
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.views.layers import VIEW
from evaluator.cli import app


@pytest.fixture
def scope(three_methods):
    results = Results.open(three_methods)
    files = pl.concat_str("variant_id", pl.lit(" of X.gguf"))
    return Scope(
        Results(results.folder, results.manifest, results.variants.with_columns(files.alias("source")))
    )


def words(insight):
    return shlex.split(insight.command)


def test_the_first_row_is_followed(scope):
    row = scope.rows[0]
    build, _ = mixes(scope, scope.rows)
    assert row["label"] in build.text
    flags = dict(zip(words(build)[4::2], words(build)[5::2], strict=True))
    assert flags["--recipe"] == f"like:{row['source']}"
    assert flags["--baseline"] == scope.results.baseline["source"]


def test_a_picked_row_is_followed_instead(scope):
    row = scope.rows[5]
    picked = Scope(scope.results, Selection.of(picked=[row["variant_id"]]))
    _, in_llama = mixes(picked, picked.rows)
    assert words(in_llama)[4:8] == [row["source"], "--tensor-types", "types.txt", "&&"]
    assert words(in_llama)[-2:] == [f"like-{row['source']}", row["quant"]]


@pytest.mark.parametrize(
    ("label", "size"), [("UD-IQ2_M", "Q2_K"), ("UD-Q4_K_XL", "Q4_K_M"), ("IQ4_XS", "IQ4_XS")]
)
def test_llama_quantize_gets_a_size_that_it_knows(scope, label, size):
    _, in_llama = mixes(scope, [scope.rows[0] | {"quant": label}])
    assert words(in_llama)[-1] == size


def test_a_name_that_begins_like_a_flag_is_a_file(scope):
    build, in_llama = mixes(scope, [scope.rows[0] | {"source": "-o; rm x.gguf"}])
    assert words(build)[-3:] == ["like:./-o; rm x.gguf", "--out", "like"]
    assert words(in_llama)[4] == "./-o; rm x.gguf"
    assert words(in_llama)[-2] == "like--o; rm x.gguf"


def test_checkpoints_are_not_followed(scope):
    assert mixes(scope, [scope.rows[0] | {"source": "checkpoint-fp8"}]) == []


def test_the_flags_exist(scope):
    for insight, command in zip(mixes(scope, scope.rows), ("quantize", "inspect"), strict=True):
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        of_evaluator = insight.command.partition(" && ")[0]
        assert all(word in shown for word in shlex.split(of_evaluator) if word.startswith("--"))


def test_the_layer_view_shows_it_with_a_button_that_copies_it(scope):
    shown = [insight for insight in VIEW.insights(scope) if insight.command]
    buttons = [getattr(part, "data-copy", None) for part in insight_list(shown)._traverse()]
    assert list(filter(None, buttons)) == [insight.command for insight in shown]
    assert len(shown) == 2
    assert not any(item.text == told.text for item in exhibit(scope, VIEW).insights for told in shown)
