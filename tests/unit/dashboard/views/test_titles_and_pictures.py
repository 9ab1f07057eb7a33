"""Titles, captions and statements are about what is drawn: its files, its axis, its switch."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import polars as pl
import pytest
from engine_rows import add_memory
from many_models import make_models
from pptx import Presentation
from results_factory import BASELINE_ID, make_results

from dashboard.export.exhibit import exhibit
from dashboard.export.native import add_chart, is_native
from dashboard.figures.scales import LogScale
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.render import render
from dashboard.style.theme import SURFACES
from dashboard.views import View, registry

VIEWS = {view.id: view for view in registry()}
KLD = {"degradation": {"loss": "kld"}, "speed": {"phase": "decode"}}
COPY, NEGATIVE = "main-q8_0", "bartowski-q8_0"


def with_copies(folder: Path, **divergence: float) -> Results:
    """Give variants a mean KLD, and its percentiles, of their own."""
    path = make_results(folder, windows=4) / "variants.parquet"
    frame = pl.read_parquet(path)
    columns = [name for name in frame.columns if name.startswith("kld_")]
    for variant_id, value in divergence.items():
        mine = pl.col("variant_id") == variant_id.replace("__", "-")
        changed = [
            pl.when(mine).then(0.0 if "_se" in name else value).otherwise(pl.col(name)).alias(name)
            for name in columns
        ]
        frame = frame.with_columns(changed)
    frame.write_parquet(path)
    return Results.open(folder)


def drawn_ids(view: View, results: Results, selection: Selection) -> set[str]:
    figure = view.figure(Scope(results, selection))
    return {
        str(point[0])
        for trace in figure.data
        for point, y in zip(trace.customdata if trace.customdata is not None else (), trace.y, strict=False)
        if y is not None
    }


@pytest.mark.parametrize("slug", KLD)
@pytest.mark.parametrize(("least", "tick"), [(0.0, "0"), (-1e-9, "≤ 0")])
def test_a_copy_stands_at_the_lower_edge_of_a_log_axis(
    tmp_path: Path, slug: str, least: float, tick: str
) -> None:
    results = with_copies(tmp_path, **{"main__q8_0": 0.0, "bartowski__q8_0": least})
    selection = Selection.of(options=KLD[slug])
    figure = VIEWS[slug].figure(Scope(results, selection))
    assert drawn_ids(VIEWS[slug], results, selection) == set(results.measured["variant_id"])
    (edge,) = (trace for trace in figure.data if trace.name == f"{tick}: at the edge of the log axis")
    assert {point[0] for point in edge.customdata} == {COPY, NEGATIVE}
    axis = figure.layout.yaxis
    at, named = axis.tickvals[0], axis.ticktext[0]
    assert set(edge.y) == {at}
    assert named == tick
    assert 10 ** axis.range[0] < at < min(value for value in results.measured["kld_mean"] if value > 0)
    assert all(symbol.endswith("-open") for symbol in edge.marker.symbol)
    others = [y for trace in figure.data if trace is not edge for y in trace.y if y is not None]
    assert all(y > 0 for y in others)


def test_without_a_copy_a_log_axis_is_as_before(tmp_path: Path) -> None:
    scale = LogScale.of([0.001, 0.1])
    assert scale.edge is None
    assert "0" not in scale.axis["ticktext"]
    alone = LogScale.of([0.0, 0.0])
    assert list(alone.axis["ticktext"]) == ["0"], "without a positive value no other tick means anything"
    assert alone.height(0.0) == alone.edge
    assert scale.height(0.01) == pytest.approx(-2)
    results = with_copies(tmp_path, **{f"{m}__{q}": 0.0 for m in ("main",) for q in ("q4_0", "q8_0")})
    only = Selection.of(methods=["main"], quants=["Q4_0", "Q8_0"], options={"loss": "kld"})
    assert (
        VIEWS["degradation"].headline(Scope(results, only))
        == "No selected variant diverges from the baseline"
    )
    notes = VIEWS["degradation"].draw(Scope(results, only)).layout["annotations"]
    assert "main" in {note.get("name") for note in notes}, "its name at the line still filters by method"


def test_a_fast_copy_is_spoken_of(tmp_path: Path) -> None:
    results = with_copies(tmp_path)
    fastest = results.measured.sort("decode_ms_p50", "variant_id")["variant_id"][0]
    path = tmp_path / "variants.parquet"
    zero = pl.when(pl.col("variant_id") == fastest).then(0.0).otherwise(pl.col("kld_mean"))
    pl.read_parquet(path).with_columns(kld_mean=zero).write_parquet(path)
    results = Results.open(tmp_path)
    assert VIEWS["speed"].headline(Scope(results, EVERYTHING)).startswith(results.labels[fastest])


@pytest.mark.parametrize("slug", KLD)
def test_charts_of_powerpoint_name_a_copy_too(tmp_path: Path, slug: str) -> None:
    results = with_copies(tmp_path, main__q8_0=0.0)
    shown = exhibit(Scope(results, Selection.of(options=KLD[slug])), VIEWS[slug])
    assert is_native(shown.figure)
    book = Presentation()
    chart = add_chart(
        book.slides.add_slide(book.slide_layouts[5]), shown.figure, (0, 0, 9**7, 9**7), SURFACES["light"]
    )
    series = {
        item.name: [value for value in item.values if value is not None] for item in chart.plots[0].series
    }
    assert len(series["0: at the edge of the log axis"]) == 1
    assert sum(map(len, series.values())) == results.measured.height
    book.save(io.BytesIO())


def named(text: str, results: Results) -> set[str]:
    """Ids of the variants whose whole label stands in a text."""
    found = {label: name for name, label in results.labels.items() if label in text}
    return {name for label, name in found.items() if not any(label != o and label in o for o in found)}


@pytest.mark.parametrize("share", ["change", "own", "baseline"])
def test_confidence_names_files_that_are_drawn(three_methods: Path, share: str) -> None:
    results, view = Results.open(three_methods), VIEWS["confidence"]
    for filters in ({}, {"methods": ["main"]}, {"picked": ["unsloth-q6_k"]}, {"bins": [2]}):
        selection = Selection.of(options={"share": share}, **filters)  # type: ignore[arg-type]
        said = [
            view.headline(Scope(results, selection)),
            *(item.text for item in view.insights(Scope(results, selection))),
        ]
        drawn = {
            point[0]
            for trace in view.figure(Scope(results, selection)).data
            for point in trace.customdata or ()
        }
        assert named(" ".join(said), results) <= drawn


def test_by_the_baselines_bins_the_title_counts_those_bars(three_methods: Path) -> None:
    results = Results.open(three_methods)
    selection = Selection.of(picked=["main-q2_k"], options={"share": "baseline"})
    ours, base = (
        pl.read_parquet(three_methods / "tokens" / f"{n}.parquet") for n in ("main-q2_k", BASELINE_ID)
    )
    sure = base["top_prob"] > 0.95
    share = 100 * (ours["top_prob"].filter(sure) > 0.95).mean()  # type: ignore[operator]  # a mean of booleans
    title = VIEWS["confidence"].headline(Scope(results, selection))
    tokens = "high-confidence tokens (top probability over 0.95)"
    assert title.startswith(f"Of the baseline's {tokens}, main Q2_K keeps {share:.1f} ± ")


def test_the_axis_of_sizes_has_words_about_sizes(three_methods: Path) -> None:
    results, by_size = Results.open(three_methods), Selection.of(options={"x": "gb"})
    page, bits = render(results, "/ppl-bits", by_size), render(results, "/ppl-bits", EVERYTHING)
    assert page.title.endswith(" MB)") or "No file stays within" in page.title
    assert page.eyebrow == "1 · Perplexity against file size"
    assert "File size is that of the download" in page.caption
    assert "Bits are" not in page.caption
    assert not [item for item in page.insights if " bits" in item.text]
    assert bits.eyebrow == "1 · Perplexity against bits per weight"
    assert "Bits are" in bits.caption
    assert exhibit(Scope(results, by_size), VIEWS["ppl-bits"]).question == page.eyebrow


def test_the_smallest_is_the_smallest_on_the_axis_shown(tmp_path: Path) -> None:
    """Of two files within 1 % that lose the same, one has fewer bits, the other fewer bytes."""
    path = make_results(tmp_path, methods=("main",), quants=("Q6_K", "Q8_0"), windows=4) / "variants.parquet"
    shutil.copy(tmp_path / "tokens" / "main-q8_0.parquet", tmp_path / "tokens" / "main-q6_k.parquet")
    smaller = pl.when(pl.col("variant_id") == "main-q8_0").then(1_000_000).otherwise(pl.col("size_bytes"))
    errors = ("ln_ppl_ratio_se", "ln_ppl_ratio_se_clustered")
    close = [
        pl.lit(0.0).alias("ln_ppl_ratio"),
        pl.lit(0.01).alias("kld_mean"),
        *(pl.lit(1e-4).alias(name) for name in errors),
    ]
    pl.read_parquet(path).with_columns(size_bytes=smaller).with_columns(close).write_parquet(path)
    results, view = Results.open(tmp_path), VIEWS["ppl-bits"]
    assert view.headline(Scope(results, EVERYTHING)).startswith("main Q6_K is the smallest")
    assert view.headline(Scope(results, Selection.of(options={"x": "gb"}))).startswith(
        "main Q8_0 is the smallest"
    )


def test_the_words_follow_the_loss_that_is_drawn(three_methods: Path) -> None:
    results, view = Results.open(three_methods), VIEWS["degradation"]
    said = {
        loss: {item.text for item in view.insights(Scope(results, Selection.of(options={"loss": loss})))}
        for loss in ("ppl", "kld")
    }
    of_ppl, of_kld = said["ppl"] - said["kld"], said["kld"] - said["ppl"]
    assert of_ppl
    assert not [text for text in of_ppl if "KLD" in text]
    assert [text for text in of_kld if "the mean KLD is at most" in text] == list(of_kld)
    captions = {
        loss: view.described(Scope(results, Selection.of(options={"loss": loss}))) for loss in ("ppl", "kld")
    }
    assert "KL divergence" not in captions["ppl"]
    assert "perplexity" not in captions["kld"]


@pytest.mark.parametrize("form", ["radar", "parallel"])
def test_the_caption_is_of_the_form_that_is_drawn(three_methods: Path, form: str) -> None:
    scope = Scope(Results.open(three_methods), Selection.of(options={"form": form}))
    caption = VIEWS["radar"].described(scope)
    assert ("100 %" in caption) == (form == "radar")
    assert ("worst (bottom)" in caption) == (form == "parallel")


@pytest.mark.parametrize("form", ["radar", "parallel"])
def test_radar_says_what_a_peak_above_the_files_memory_has_twice(
    two_engines: Path, tmp_path: Path, form: str
) -> None:
    shutil.copytree(two_engines, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "variants.parquet"
    variants = pl.read_parquet(path)
    add_memory(tmp_path, variants.to_dicts())
    said = "Peak memory is measured, with a second copy of the weights that llama.cpp repacks"

    def caption(share: float, engine: str) -> str:
        """The peak is a share of the file, half as much again of one method's."""
        more = pl.when(pl.col("method") == "main").then(1.5).otherwise(1.0)
        peak = (share * more * pl.col("size_bytes")).cast(pl.Int64)
        variants.with_columns(llamacpp_peak_rss_bytes=peak, peak_rss_bytes=peak).write_parquet(path)
        asked = Selection.of(options={"form": form}, engine=engine)
        return VIEWS["radar"].captioned(Scope(Results.open(tmp_path), asked))

    assert said in caption(2.0, "llama.cpp")
    assert said not in caption(0.6, "llama.cpp"), "less than the weights"
    assert said not in caption(2.0, "onnxruntime")


def test_titles_of_several_models_name_the_one_they_are_about(tmp_path: Path) -> None:
    results = Results.open(
        make_models(tmp_path, ("First", "Second"), methods=("main",), quants=("Q4_0", "Q8_0"))
    )
    for view in VIEWS.values():
        if view.absent(results) is None:
            subject = named(view.headline(Scope(results, Selection.of(models=["Second"]))), results)
            assert not [name for name in subject if "First" in results.labels[name]]


@pytest.mark.parametrize("slug", ["ppl-bits", "degradation", "size"])
def test_files_of_every_model_are_labelled(tmp_path: Path, slug: str) -> None:
    folder = make_models(tmp_path, ("First", "Second"), methods=("main",), quants=("Q4_0", "Q8_0"))
    drawn = VIEWS[slug].draw(Scope(Results.open(folder), EVERYTHING)).to_plotly_json()
    texts = [item["text"] for item in drawn["layout"]["annotations"]]
    for quant in ("Q4_0", "Q8_0"):
        assert sum(quant in text for text in texts) == 2, texts


@pytest.mark.parametrize(
    ("slug", "column"),
    [("speed", "decode_ms_p50"), ("ppl-bits", "ppl"), ("size", "ppl"), ("degradation", "ln_ppl_ratio")],
)
def test_what_has_no_place_in_a_picture_is_named(tmp_path: Path, slug: str, column: str) -> None:
    path = make_results(tmp_path, methods=("main",), windows=4) / "variants.parquet"
    whole, view = Results.open(tmp_path), VIEWS[slug]
    assert not [item for item in view.insights(Scope(whole, EVERYTHING)) if "not drawn" in item.text]
    missing = pl.when(pl.col("variant_id") == "main-q4_0").then(None).otherwise(pl.col(column))
    pl.read_parquet(path).with_columns(missing.alias(column)).write_parquet(path)
    results = Results.open(tmp_path)
    (told,) = (item.text for item in view.insights(Scope(results, EVERYTHING)) if "not drawn" in item.text)
    assert told.startswith("main Q4_0 is not drawn: no ")
    assert "main-q4_0" not in drawn_ids(view, results, EVERYTHING)
