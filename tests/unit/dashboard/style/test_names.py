"""Names that a stranger chose: cleaned when a folder is opened, and text in figures and files."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pptx import Presentation
from results_factory import make_results

from dashboard.export.data import encode
from dashboard.export.deck import deck
from dashboard.export.exhibit import exhibits
from dashboard.export.slide import picture
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.render import render
from dashboard.style import names
from dashboard.views import registry
from evaluator.results.files import MANIFEST_NAME
from evaluator.results.reader import read_manifest

METHODS = {"bartowski": "<i>evil</i> <zz> &amp; \u202ertl", "main": '=HYPERLINK("x")\x01'}
CLEANED = {"<i>evil</i> <zz> &amp; \ufffdrtl", '=HYPERLINK("x")\ufffd'}
TYPE, DOMAIN = "%{customdata[0]}", "co\u202ede"
#: What the dashboard itself writes into figures as markup, and as templates.
OURS = re.compile(
    r"</?b>|<span style=\"color:#[0-9a-f]{6}\">|</span>|<br>|<extra></extra>|%\{(x|y|text|customdata\[[34]\])\}"
)
VIEWS = {view.id: view for view in registry()}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("hostile")
    make_results(folder, methods=tuple(METHODS), quants=("Q4_0", "Q8_0"), with_attribution=True, windows=8)
    path = folder / "variants.parquet"
    quant = pl.when(pl.col("quant") == "Q4_0").then(pl.lit(TYPE)).otherwise("quant").alias("quant")
    pl.read_parquet(path).with_columns(pl.col("method").replace(METHODS), quant).write_parquet(path)
    for tokens in (folder / "tokens").iterdir():
        domain = pl.col("domain").cast(pl.String).replace("code", DOMAIN).cast(pl.Categorical)
        pl.read_parquet(tokens).with_columns(domain).write_parquet(tokens)
    manifest = read_manifest(folder)
    texts = [
        text.model_copy(update={"domain": DOMAIN if text.domain == "code" else text.domain})
        for text in manifest.texts
    ]
    update = {"texts": texts, "model": "a\nb\u2067", "baseline_note": "x\x07"}
    (folder / MANIFEST_NAME).write_text(manifest.model_copy(update=update).model_dump_json())
    return Results.open(folder)


def texts_of(value: Any) -> Iterator[str]:
    """Every text anywhere in a figure."""
    if isinstance(value, dict):
        for part in value.values():
            yield from texts_of(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts_of(part)
    elif isinstance(value, str):
        yield value


def test_names_are_cleaned_on_open(hostile: Results) -> None:
    assert set(hostile.methods) == CLEANED
    assert hostile.manifest.model == "a b\ufffd"
    assert hostile.manifest.baseline_note == "x\ufffd"
    assert hostile.manifest.baseline_id == "baseline-f16"
    assert "co\ufffdde" in hostile.domains
    part = hostile.select(Selection.of(domains=["co\ufffdde"]))
    assert part["n_tokens"].to_list() == [128] * 4, "the token frames' domain is the same one"
    compared = json.dumps(render(hostile, "compare", EVERYTHING).body.to_plotly_json(), default=str)
    assert "\\u202e" not in compared


def test_what_has_no_place_in_a_name() -> None:
    assert names.clean("a\tb\r\nc\x00d\u202ee\ud800f") == "a b  c\ufffdd\ufffde\ufffdf"
    assert names.clean("Ünïcode 😀 \u200d ok") == "Ünïcode 😀 \u200d ok"
    frame = pl.DataFrame({"method": ["a\x01"], "variant_id": ["b\x01"], "piece": ["\n"], "n": [1]})
    assert names.clean_frame(frame).row(0) == ("a\ufffd", "b\x01", "\n", 1)


@pytest.mark.parametrize("options", [{}, {"measure": "hidden"}, {"share": "baseline"}, {"form": "parallel"}])
@pytest.mark.parametrize("slug", VIEWS)
def test_figures_hold_no_markup_but_ours(hostile: Results, slug: str, options: dict[str, str]) -> None:
    drawn = VIEWS[slug].draw(Scope(hostile, Selection.of(options=options))).to_plotly_json()
    for trace in drawn["data"]:
        trace.pop("meta", None)
        trace.pop("legendgroup", None)
    for note in drawn["layout"].get("annotations", []):
        note.pop("name", None)  # is not shown
    said = list(texts_of(drawn))
    assert any("HYPERLINK" in text or "customdata" in text for text in said)
    for text in said:
        bare = OURS.sub("", text)
        assert "<" not in bare, text
        assert "%{" not in bare, text
        assert html.escape(html.unescape(bare), quote=False).replace("%{", "%&#123;") == bare, text


def test_titles_of_pictures_are_text(hostile: Results) -> None:
    for shown in exhibits(Scope(hostile, EVERYTHING)):
        title = picture(Scope(hostile, EVERYTHING), shown).figure["layout"]["title"]["text"]
        assert "<i>" not in title
        assert "%{" not in title


def test_long_names_keep_their_ends() -> None:
    name = "my_company_quantizer_with_calibration_v2"
    assert names.short(name, 40) == name
    assert names.short(name, 20) == "my_company_q…tion_v2"
    assert names.out_of_figure(names.in_figure("<&%{x}")) == "<&%{x}"


def test_names_that_are_alike_when_shortened_keep_their_own_rows(tmp_path: Path) -> None:
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    path = folder / "variants.parquet"
    long = pl.concat_str(pl.lit("L" * 30), pl.col("quant"), pl.lit("L" * 30))
    pl.read_parquet(path).with_columns(long.alias("quant")).write_parquet(path)
    results = Results.open(folder)
    stacked = Selection.of(options={"share": "own"})
    axis = VIEWS["confidence"].draw(Scope(results, stacked)).layout["yaxis"]
    assert len(set(axis["tickvals"])) == 3
    assert len(set(axis["ticktext"])) == 2
    assert all(len(text) <= names.TICK for text in axis["ticktext"])
    for view in VIEWS.values():
        for text in texts_of(view.draw(Scope(results, EVERYTHING)).layout.get("annotations", [])):
            assert "L" * 30 not in text


def test_an_editable_deck_is_written_and_names_are_as_they_are(hostile: Results) -> None:
    book = Presentation(io.BytesIO(deck(Scope(hostile, EVERYTHING), {}, editable=True)))
    charts = [shape.chart for slide in book.slides for shape in slide.shapes if shape.has_chart]
    said = {series.name for chart in charts for series in chart.plots[0].series}
    assert said >= CLEANED


def test_a_csv_holds_no_formula(hostile: Results) -> None:
    for view in VIEWS.values():
        body = encode(view.data(Scope(hostile, EVERYTHING)), "csv").decode()
        rows = list(csv.DictReader(io.StringIO(body)))
        assert {row["method"] for row in rows} - {"baseline"} == {
            "'" + name if name.startswith("=") else name for name in CLEANED
        }


def test_numbers_in_a_csv_stay_numbers() -> None:
    frame = pl.DataFrame({"a": [-1.5, 2.0], "b": ["-x", "+y"], "c": ["@z", "a-b"], "d": [-3, 4]})
    assert encode(frame, "csv").decode() == "a,b,c,d\n-1.5,'-x,'@z,-3\n2.0,'+y,a-b,4\n"
