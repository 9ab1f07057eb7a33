"""Values under a filter of tokens stand against references of the same tokens; what no filter reaches says so."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pptx import Presentation
from results_factory import make_results

from dashboard.export.deck import deck
from dashboard.export.exhibit import exhibit
from dashboard.export.findings import findings
from dashboard.export.markdown import report
from dashboard.export.slide import picture
from dashboard.pages import compare
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.render import render
from dashboard.views import registry
from evaluator.results.schema import Pairs, frame_of

VIEWS = {view.id: view for view in registry()}
UNSURE, DIALOGUE = Selection.of(bins=[0]), Selection.of(domains=["dialogue"])


@pytest.fixture(scope="module")
def results(three_methods: Path) -> Results:
    return Results.open(three_methods)


@pytest.mark.parametrize("few", [Selection.of(methods=["main"]), EVERYTHING])
def test_the_radar_is_about_the_filtered_tokens(three_methods: Path, few: Selection) -> None:
    """The least mean KLD of the drawn files over each one's, from the token files."""
    results = Results.open(three_methods)
    kept = pl.read_parquet(three_methods / "tokens" / "baseline-f16.parquet")["top_prob"] < 0.25
    drawn = VIEWS["radar"].figure(Scope(results, Selection.of(few.models, few.methods, bins=[0])))
    files = {trace.meta["variant_id"]: trace for trace in drawn.data if trace.meta}
    means = {
        name: pl.read_parquet(three_methods / "tokens" / f"{name}.parquet")
        .filter(kept)["kld"]
        .cast(pl.Float64)
        .mean()
        for name in files
    }
    for name, trace in files.items():
        spokes = dict(zip(trace.theta, trace.r, strict=True))
        assert spokes["mean KLD"] == pytest.approx(100 * min(means.values()) / means[name], rel=1e-5)
        assert max(trace.r) <= 100


@pytest.mark.parametrize("selection", [UNSURE, DIALOGUE, Selection.of(bins=[4])])
def test_parallel_axes_hold_every_filtered_value(results: Results, selection: Selection) -> None:
    asked = Selection.of(domains=selection.domains, bins=selection.bins, options={"form": "parallel"})
    drawn = VIEWS["radar"].figure(Scope(results, asked))
    heights = [y for trace in drawn.data for y in trace.y if y is not None]
    assert min(heights) == pytest.approx(0)
    assert max(heights) == pytest.approx(1)


def test_only_what_follows_the_tokens_is_told_under_their_filter(tmp_path: Path) -> None:
    path = make_results(tmp_path, methods=("main",), quants=("Q4_0",), windows=4) / "variants.parquet"
    pl.read_parquet(path).with_columns(attribution_additivity=0.9, deploy_kld_mean=0.1).write_parquet(path)
    results = Results.open(tmp_path)
    for column in ("attribution_additivity", "deploy_kld_mean"):
        assert results.select(UNSURE)[column].to_list() == [None]


def test_layers_say_that_no_filter_of_tokens_reaches_them(results: Results) -> None:
    scored = f"{results.baseline['n_tokens']:,} tokens"
    page, plain = render(results, "/layers", UNSURE), render(results, "/layers", EVERYTHING)
    assert page.figure == plain.figure, "errors of layers are the same under any filter of tokens"
    assert "Text and confidence filters do not affect this view" in page.caption
    assert f"scored: {scored};" in page.caption
    assert "do not affect this view" not in plain.caption
    domains = render(results, "/layers", DIALOGUE).caption
    assert "Text: code, dialogue, encyclopedic and narrative;" in domains


def test_pictures_of_layers_leave_such_a_filter_out(results: Results) -> None:
    """And those of other views a filter of layers."""
    clicked = Selection.of(bins=[0], layers=[3], roles=["attn_v"])
    told = {}
    for slug in ("layers", "ppl-bits"):
        scope = Scope(results, clicked)
        shown = picture(scope, exhibit(scope, VIEWS[slug]))
        told[slug] = shown.figure["layout"]["title"]["subtitle"]["text"].replace("<br>", " ")
    assert "filters: layer 3; role attn_v" in told["layers"]
    assert "do not affect this view" in told["layers"]
    assert "filters: confidence 0–0.25" in told["ppl-bits"]
    assert "attn_v" not in told["ppl-bits"]
    slides = list(Presentation(io.BytesIO(deck(Scope(results, clicked), {}))).slides)
    feet = {slide.shapes.title.text: slide.shapes[1].text_frame.text for slide in slides}
    (layers,) = (foot for title, foot in feet.items() if title.startswith("Attention values (attn_v)"))
    assert layers.endswith("filters: layer 3; role attn_v")
    assert list(feet.values())[-1].endswith("filters: confidence 0–0.25; layer 3; role attn_v")


@pytest.mark.parametrize(
    ("slug", "words"), [("speed", "does not affect times"), ("size", "sizes are those of whole")]
)
def test_captions_say_what_stays_under_a_filter_of_tokens(results: Results, slug: str, words: str) -> None:
    assert words in render(results, f"/{slug}", UNSURE).caption
    assert words not in render(results, f"/{slug}", EVERYTHING).caption


@pytest.mark.parametrize("selection", [EVERYTHING, UNSURE])
def test_exported_tables_hold_the_paired_change(three_methods: Path, selection: Selection) -> None:
    results = Results.open(three_methods)
    screen = str(render(results, "/summary", selection).body)
    said = findings(Scope(results, selection))
    text = report(Scope(results, selection))
    for line in said.table:
        level, paired = line[4].removesuffix(")").split(" (")
        assert f"Small('{paired}')" in screen
        assert f"{level} ({paired})" in text
        assert "±" not in level


def test_the_change_is_that_of_the_token_files(tmp_path: Path) -> None:
    make_results(tmp_path, methods=("main",), quants=("Q8_0",), windows=4)
    ours, base = (
        pl.read_parquet(tmp_path / "tokens" / f"{name}.parquet").filter(pl.col("domain") == "dialogue")["nll"]
        for name in ("main-q8_0", "baseline-f16")
    )
    rise = 100 * math.expm1(float(np.mean(ours.to_numpy().astype(float) - base.to_numpy().astype(float))))
    (line,) = findings(Scope(Results.open(tmp_path), DIALOGUE)).table
    assert line[4].startswith(f"{math.exp(np.mean(ours.to_numpy().astype(float))):.2f} ({rise:+.1f} ")


def test_hover_and_data_hold_the_paired_error(results: Results) -> None:
    texts = [
        text
        for trace in VIEWS["ppl-bits"].figure(Scope(results, EVERYTHING)).data
        for text in trace.hovertext or ()
    ]
    assert texts
    for text in texts:
        level = next(line for line in text.split("<br>") if line.startswith("PPL"))
        assert "±" not in level, "the level's own error is no error of the comparison"
    assert "ln_ppl_ratio_se" in VIEWS["ppl-bits"].data(Scope(results, EVERYTHING)).columns


@pytest.mark.parametrize("part", [{}, {"domains": ["code"]}, {"bins": [4]}])
def test_the_bootstrap_of_all_texts_stands_only_beside_all_texts(
    tmp_path: Path, part: dict[str, Any]
) -> None:
    """It is of all tokens, and could contradict the title of those that the filter keeps."""
    make_results(tmp_path)
    counts = {"n_windows": 24, "n_tokens": 1536}
    both = {
        "a": "bartowski-q8_0",
        "b": "main-q4_0",
        "metric": "kld",
        "difference": -0.1,
        "p_better": 0.99,
        **counts,
    }
    frame_of(Pairs, [both]).write_parquet(tmp_path / "pairs.parquet")
    asked = Selection.of(**part, options={"a": "bartowski-q8_0", "b": "main-q4_0"})
    scope = Scope(Results.open(tmp_path), asked)
    assert "is closer to the baseline than" in compare.headline(scope)
    said = " ".join(item.text for item in compare.insights(scope))
    assert ("has the lower KLD in 99.0 % of resamples" in said) == (not part)
