"""Decks, pages, reports, archives and pictures, read back."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pptx import Presentation
from pptx.enum.chart import XL_CHART_TYPE
from results_factory import make_results

from dashboard.export.archive import archive
from dashboard.export.data import encode
from dashboard.export.deck import deck
from dashboard.export.document import document
from dashboard.export.exhibit import exhibit, exhibits
from dashboard.export.findings import findings, takeaways
from dashboard.export.markdown import report
from dashboard.export.native import is_native
from dashboard.export.provenance import footer
from dashboard.export.slide import NOMINAL_WIDTH, picture
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.naming import file_stem
from dashboard.style.theme import SURFACES
from dashboard.views import charts, registry

NOBODY = Selection.of(methods=["nobody"])
#: The smallest PNG: one grey pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6368000000820081dd436af40000000049454e44ae426082"
)
VIEWS = {view.id: view for view in charts()}
SLUGS = list(VIEWS)


@pytest.fixture(scope="module")
def results(three_methods: Path) -> Results:
    return Results.open(three_methods)


@pytest.fixture(scope="module")
def sparse(one_method: Path) -> Results:
    return Results.open(one_method)


def texts(slide: object) -> str:
    return " ".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame)  # type: ignore[attr-defined]


def test_names_say_model_and_view_in_safe_characters(results: Results, sparse: Results) -> None:
    assert file_stem(Scope(results, EVERYTHING), "size") == "Synthetic-135M-size"
    assert file_stem(Scope(results, Selection.of(models=["../a b/ü:Model"])), "size") == "a-b-Model-size"
    assert file_stem(Scope(sparse, Selection.of(models=["..."])), "size") == "quantization-size"
    both = Selection.of(models=["Qwen 2", "Llama/3"])
    assert file_stem(Scope(sparse, both), "size") == "Llama-3-and-Qwen-2-size"
    assert footer(Scope(sparse, both)).split(" · ")[1] == "Llama/3 and Qwen 2"


def test_footer_names_everything(results: Results) -> None:
    line = footer(Scope(results, Selection.of(methods=["main"], domains=["code"])))
    for part in (results.folder.name, "Synthetic-135M", "code", "384 of 1,536 tokens", "CPU", "2026-01-02"):
        assert part in line
    assert "method main" in line
    assert "filters" not in footer(Scope(results, EVERYTHING))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_are_slides_in_either_theme(results: Results, theme: str) -> None:
    for shown in exhibits(Scope(results, EVERYTHING)):
        drawn = picture(Scope(results, EVERYTHING), shown, theme)
        layout = drawn.figure["layout"]
        assert drawn.width * 9 == drawn.height * 16
        assert int(4 * drawn.scale * drawn.width) == 4 * NOMINAL_WIDTH
        assert layout["paper_bgcolor"] == SURFACES[theme].background
        words = re.sub(r"<[^>]+>", " ", layout["title"]["text"])
        assert words.split() == shown.title.split()
        assert "1,536 tokens" in layout["title"]["subtitle"]["text"].replace("<br>", " ")
        assert "click" not in layout["title"]["subtitle"]["text"]
        bare = picture(Scope(results, EVERYTHING), shown, theme, "body")
        assert "title" not in bare.figure["layout"]


def test_names_are_no_markup_in_pictures(results: Results) -> None:
    shown = exhibit(Scope(results, EVERYTHING), registry()[0])
    hostile = replace(shown, title="<b>x</b> & y")
    title = picture(Scope(results, EVERYTHING), hostile).figure["layout"]["title"]["text"]
    assert title == "<b>&lt;b&gt;x&lt;/b&gt; &amp; y</b>"


def test_what_cannot_be_drawn_is_explained(results: Results, sparse: Results) -> None:
    nothing = exhibits(Scope(results, NOBODY))
    assert all(shown.reason for shown in nothing)
    unmeasured = [shown.slug for shown in exhibits(Scope(sparse, EVERYTHING)) if shown.reason]
    assert {"layers", "speed"} <= set(unmeasured)
    for shown in nothing:
        layout = picture(Scope(results, NOBODY), shown).figure["layout"]
        assert shown.reason.split()[:3] == layout["annotations"][0]["text"].split()[:3]


@pytest.mark.parametrize("slug", SLUGS)
def test_data_behind_a_view_follow_the_selection(results: Results, slug: str) -> None:
    wanted = Selection.of(methods=["main"], quants=["Q4_0", "Q8_0"])
    data = VIEWS[slug].data
    frame = data(Scope(results, wanted))
    variants = set(frame["variant_id"].to_list()) - {"baseline-f16"}
    assert variants == {"main-q4_0", "main-q8_0"}
    assert pl.read_csv(io.BytesIO(encode(frame, "csv"))).shape == frame.shape
    assert pl.read_parquet(io.BytesIO(encode(frame, "parquet"))).equals(frame)
    assert data(Scope(results, NOBODY)).is_empty()


def test_a_part_of_the_tokens_changes_the_data(results: Results) -> None:
    part, whole = (
        VIEWS["ppl-bits"].data(Scope(results, Selection.of(domains=domains))) for domains in (["code"], [])
    )
    assert part["n_tokens"].unique().to_list() == [384]
    assert not part["ppl"].equals(whole["ppl"])


def test_deck_read_back(results: Results) -> None:
    pictures = dict.fromkeys(SLUGS, PNG)
    book = Presentation(io.BytesIO(deck(Scope(results, EVERYTHING), pictures)))
    slides = list(book.slides)
    shown = exhibits(Scope(results, EVERYTHING))
    assert len(slides) == len(SLUGS) + 6
    assert [slide.shapes.title.text for slide in slides[4:-2]] == [item.title for item in shown]
    for slide, item in zip(slides[4:-2], shown, strict=True):
        assert item.caption in texts(slide), "the caption explains bars, rings and shading"
        assert [shape.image.blob for shape in slide.shapes if shape.shape_type == 13] == [PNG]
        notes = slide.notes_slide.notes_text_frame.text
        assert all(insight.text in notes for insight in item.insights)
    assert all(footer(Scope(results, EVERYTHING)) in texts(slide) for slide in slides)
    table = next(shape.table for shape in slides[2].shapes if shape.has_table)
    assert [table.cell(row, 0).text for row in range(4)] == ["Method", "bartowski", "main", "unsloth"]
    assert "Everyday use" in texts(slides[1])


def test_methods_of_equal_size_have_their_paired_difference(results: Results) -> None:
    """The lead on the slide is the difference of the two files' mean KLD over the same tokens, with its error."""
    slides = Presentation(io.BytesIO(deck(Scope(results, EVERYTHING), {}))).slides
    slide = next(slide for slide in slides if slide.shapes.title.text == "Methods at equal size")
    table = next(shape.table for shape in slide.shapes if shape.has_table)
    rows = [[cell.text for cell in row.cells] for row in table.rows][1:]
    kld = {
        (row["method"], row["quant"]): row["kld_mean"]
        for row in results.measured.iter_rows(named=True)
        if row["method"] != "baseline"
    }
    told = 0
    for _, closest, lead, *_ in rows:
        for value, _, behind in re.findall(r"([\d.]+) ± ([\d.]+) nats ahead of (\w+)", lead):
            method, quant = re.match(r"(\w+) \((\w+)\)", closest).groups()  # type: ignore[union-attr]
            expected = kld[behind, quant] - kld[method, quant]
            assert float(value) == pytest.approx(expected, rel=0.05)
            told += 1
    assert told
    assert "half a 95 % interval" in texts(slide)


def test_takeaways_are_few_and_taken_from_the_findings(results: Results) -> None:
    scope = Scope(results, EVERYTHING)
    words, shown = findings(scope), exhibits(scope)
    slide = list(Presentation(io.BytesIO(deck(scope, dict.fromkeys(SLUGS, PNG)))).slides)[-2]
    assert slide.shapes.title.text == "Takeaways"
    told = takeaways(scope, words, [insight for item in shown for insight in item.insights])
    assert 3 <= len(told) <= 5
    assert told[0].text.startswith(words.answer)
    assert words.counted in [insight.text for insight in told]
    assert all(insight.text in texts(slide) for insight in told)
    assert takeaways(Scope(results, NOBODY), findings(Scope(results, NOBODY)), []) == []


def test_editable_charts_carry_the_data(results: Results) -> None:
    book = Presentation(
        io.BytesIO(deck(Scope(results, EVERYTHING), dict.fromkeys(SLUGS, PNG), editable=True))
    )
    drawn = [shape.chart for slide in book.slides for shape in slide.shapes if shape.has_chart]
    native = [shown for shown in exhibits(Scope(results, EVERYTHING)) if is_native(shown.figure)]
    assert {shown.slug for shown in native} >= {"overview", "ppl-bits", "degradation", "speed", "size"}
    assert len(drawn) == len(native)
    losses, first = drawn[:2]
    assert [series.name for series in losses.plots[0].series][:3] == ["bartowski", "main", "unsloth"]
    assert first.chart_type == XL_CHART_TYPE.XY_SCATTER_LINES
    ours = results.select(Selection.of(methods=["main"]))
    series = next(item for item in first.plots[0].series if item.name == "main")
    assert list(series.values) == pytest.approx(100 * np.expm1(ours["ln_ppl_ratio"].to_numpy()))
    assert first.value_axis._element.scaling.find("{*}logBase") is not None


def test_editable_charts_carry_their_errors(results: Results) -> None:
    """95 % ends of every point by its paired error, in the order of the points, and an axis that holds them."""
    book = Presentation(io.BytesIO(deck(Scope(results, EVERYTHING), {})))
    _, chart = [shape.chart for slide in book.slides for shape in slide.shapes if shape.has_chart][:2]
    ours = results.select(Selection.of(methods=["main"])).sort("bits_per_weight")
    series = next(item for item in chart.plots[0].series if item.name == "main")
    bars = series._element.find("{*}errBars")
    over, under = ([float(v.text) for v in bars.findall(f"{{*}}{way}//{{*}}v")] for way in ("plus", "minus"))
    ratio, error = np.exp(ours["ln_ppl_ratio"].to_numpy()), ours["ln_ppl_ratio_se"].to_numpy()
    assert over == pytest.approx(100 * ratio * np.expm1(1.96 * error), rel=1e-3)
    assert under == pytest.approx(-100 * ratio * np.expm1(-1.96 * error), rel=1e-3)
    rise = 100 * (ratio - 1)
    ends = [*(rise + over), *(rise - under)]
    assert chart.value_axis.minimum_scale <= min(ends)
    assert chart.value_axis.maximum_scale >= max(ends)


def test_editable_bars_are_stacked_shares(sparse: Results) -> None:
    stacked = Selection.of(options={"share": "own"})
    book = Presentation(io.BytesIO(deck(Scope(sparse, stacked), {})))
    drawn = [shape.chart for slide in book.slides for shape in slide.shapes if shape.has_chart]
    bars = next(chart for chart in drawn if chart.chart_type == XL_CHART_TYPE.BAR_STACKED)
    shares = zip(*(series.values for series in bars.plots[0].series), strict=True)
    assert [sum(column) for column in shares] == pytest.approx([100] * 6)
    assert list(bars.plots[0].categories)[-1] == "baseline"
    assert (bars.value_axis.minimum_scale, bars.value_axis.maximum_scale) == (0, 100)


def test_deck_without_pictures_has_charts_and_words(results: Results) -> None:
    slides = list(Presentation(io.BytesIO(deck(Scope(results, EVERYTHING), {}, "dark"))).slides)
    assert len(slides) == len(SLUGS) + 6
    for slide, shown in zip(slides[4:-2], exhibits(Scope(results, EVERYTHING)), strict=True):
        drawn = [shape for shape in slide.shapes if shape.has_chart]
        assert drawn if is_native(shown.figure) else shown.insights[0].text in texts(slide)


def test_deck_of_an_empty_selection_explains_itself(results: Results) -> None:
    slides = list(Presentation(io.BytesIO(deck(Scope(results, NOBODY), {}))).slides)
    assert sum("No variant matches these filters" in texts(slide) for slide in slides) == len(SLUGS)


def test_page_is_whole_and_loads_nothing(results: Results) -> None:
    page = document(Scope(results, EVERYTHING), "dark")
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//|@import|url\(""", markup)
    assert "default-src 'none'" in markup
    assert page.count("</script>") == page.count("<script>") == 2
    assert 'data-theme="dark"' in markup
    assert footer(Scope(results, EVERYTHING)) in markup
    for shown in exhibits(Scope(results, EVERYTHING)):
        assert f'data-plot="{shown.slug}"' in markup
    plots = json.loads(re.search(r"^const plots = (.*);$", page, flags=re.MULTILINE)[1])  # type: ignore[index]
    assert list(plots) == SLUGS
    assert all(plot["data"] for plot in plots.values())
    assert "No variant matches these filters" in document(Scope(results, NOBODY))


def test_page_is_safe_with_hostile_names(results: Results) -> None:
    page = document(Scope(results, Selection.of(models=["</script><img src=x onerror=alert(1)>"])))
    assert "<img" not in page.split("<script>")[0]
    assert "&lt;/script&gt;&lt;img" in page


def test_report_says_all(results: Results) -> None:
    text = report(Scope(results, EVERYTHING), {"size": "images/size.png"})
    assert text.startswith("# Synthetic-135M")
    assert text.count("\n| bartowski Q4\\_0 |") == 1
    assert "](images/size.png)" in text
    for shown in exhibits(Scope(results, EVERYTHING)):
        assert f"\n## {shown.view.title.replace('|', '')}" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len(tables) > results.measured.height
    assert "No variant matches these filters" in report(Scope(results, NOBODY))


def test_errors_are_clustered_by_window_where_measured(tmp_path: Path) -> None:
    path = make_results(tmp_path, methods=("main",), quants=("Q8_0",), windows=4) / "variants.parquet"
    wide = {"ln_ppl_ratio": 0.0, "ln_ppl_ratio_se": 0.001, "ln_ppl_ratio_se_clustered": 0.01}
    pl.read_parquet(path).with_columns(**{name: pl.lit(se) for name, se in wide.items()}).write_parquet(path)
    (line,) = findings(Scope(Results.open(tmp_path), EVERYTHING)).table
    assert line[4].endswith(" (0.0 ± 3.2 %)"), "four windows: Student's t for three degrees is 3.182"


def test_report_cannot_be_broken_out_of(results: Results) -> None:
    text = report(Scope(results, Selection.of(models=["a|b\n# <script>[x](y)"])))
    assert text.startswith("# a\\|b \\# &lt;script&gt;\\[x\\](y)")


def test_archive_holds_pictures_data_and_reports(results: Results) -> None:
    packed = zipfile.ZipFile(io.BytesIO(archive(Scope(results, EVERYTHING), {"size": PNG})))
    names = set(packed.namelist())
    assert packed.read("images/Synthetic-135M-size.png") == PNG
    assert {f"data/Synthetic-135M-{slug}.csv" for slug in SLUGS} <= names
    assert {"report.md", "report.html"} <= names
    assert b"](images/Synthetic-135M-size.png)" in packed.read("report.md")
