"""The first page's chart: what is drawn, named, ringed and faint, and where the line of memory is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import polars as pl
import pytest
from engine_rows import add_memory
from first_chart import files, legend, line, ring, texts
from many_models import make_models
from results_factory import make_results
from several_devices import make_devices

from dashboard.export.exhibit import exhibits
from dashboard.figures.drawing import Drawing
from dashboard.insights.answers import Answers
from dashboard.insights.memory_line import memory_line
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.render import render
from dashboard.views import charts, registry
from dashboard.views.home import VIEW
from evaluator.results.files import MANIFEST_NAME


def limited(**options: str) -> Selection:
    return Selection.of(options=options)


@pytest.fixture(scope="module")
def three(three_methods: Path) -> Results:
    return Results.open(three_methods)


def of_both(results: Results, **options: str) -> Scope:
    return Scope(results, Selection.of(["Big", "Small"], options=options))


def drawn(results: Results, selection: Selection = EVERYTHING) -> Drawing:
    return VIEW.draw(Scope(results, selection))


def test_it_is_the_first_chart_and_not_one_of_the_numbered_views() -> None:
    assert charts() == (VIEW, *registry())
    assert VIEW not in registry()


def test_every_file_is_at_its_size_and_divergence(three: Results) -> None:
    places = files(drawn(three))
    for row in three.measured.to_dicts():
        assert places[row["variant_id"]]["x"] == pytest.approx(row["size_bytes"] / 1e6)
        assert places[row["variant_id"]]["y"] == pytest.approx(row["kld_mean"])
        assert places[row["variant_id"]]["opacity"] == 1
    assert len(places) == three.measured.height
    assert VIEW.figure(Scope(three)).layout.yaxis.type == "log"


def test_error_bars_end_inside_the_axis_unless_they_reach_near_0(three: Results) -> None:
    """An axis of 1 to 3 decades; an interval down to a tenth of its point would take a further decade."""
    figure = drawn(three)
    low, high = (10**end for end in figure.layout["yaxis"]["range"])
    ends = [
        (y, y - down, y + up)
        for trace in figure.data
        if "error_y" in trace
        for y, down, up in zip(
            trace["y"], trace["error_y"]["arrayminus"], trace["error_y"]["array"], strict=True
        )
    ]
    assert len(ends) == three.measured.height
    assert max(up for _, _, up in ends) < high
    assert all(down > low for y, down, _ in ends if down >= y / 2)
    assert drawn(three, limited(gb="0.05 GB")).layout["yaxis"]["range"] == figure.layout["yaxis"]["range"]


def test_every_method_is_named_once_in_its_colour_and_every_file_by_its_type(three: Results) -> None:
    said = texts(drawn(three))
    for method, style in three.styles.items():
        assert said.count(f'<span style="color:{style.color}">{style.glyph}</span> <b>{method}</b>') == 1
    kinds = [text.replace("<b>", "").partition("</b>")[0].partition(" ·")[0] for text in said]
    labelled = sum(kind in set(three.measured["quant"]) for kind in kinds)
    assert labelled == three.measured.height, "no label without room for 21 files"
    assert legend(drawn(three)) == []


def test_the_answer_is_ringed_and_named(three: Results) -> None:
    figure, answer = drawn(three), Answers.of(Scope(three)).everyday.row
    assert answer is not None
    assert ring(figure) == (pytest.approx(answer["size_bytes"] / 1e6), pytest.approx(answer["kld_mean"]))
    assert f"<b>{answer['quant']}</b> · everyday use" in texts(figure)


def test_files_beyond_the_line_are_faint_and_the_answer_follows(three: Results) -> None:
    """A limit of 90 MB with the file alone: the line is at 90 on an axis of MB."""
    figure = drawn(three, limited(gb="90 MB"))
    assert line(figure) == pytest.approx(90.0)
    for row in three.measured.to_dicts():
        assert (files(figure)[row["variant_id"]]["opacity"] < 1) == (row["size_bytes"] > 90e6)
    fitting = [row for row in three.measured.to_dicts() if row["size_bytes"] <= 90e6]
    best = min(fitting, key=lambda row: row["kld_mean"])
    assert ring(figure) == (pytest.approx(best["size_bytes"] / 1e6), pytest.approx(best["kld_mean"]))
    assert f"<b>{best['quant']}</b> · within your limits" in texts(figure)
    assert "90.0 MB: the file alone" in texts(figure)


def test_the_handle_has_what_it_needs(three: Results) -> None:
    sizes = three.measured["size_bytes"] / 1e6
    memory = drawn(three).layout["meta"]["memory"]
    assert memory["at"] is None
    assert memory["low"] < sizes.min()
    assert memory["high"] > sizes.max()
    assert (memory["unit"], memory["extra"], memory["context"]) == (1_000_000, 0.0, None)
    assert drawn(three, limited(gb="1 MB")).layout["meta"]["memory"]["at"] == memory["low"]
    assert drawn(three, limited(gb="9 GB")).layout["meta"]["memory"]["at"] == memory["high"]


def test_cache_and_buffers_are_taken_off_the_memory(tmp_path: Path) -> None:
    """At 16,384 tokens a q8_0 cache takes 17,367,040 bytes and buffers 6,638,400: 24,005,440 in all."""
    make_results(tmp_path, with_layers=False, engines=("onnxruntime", "llama.cpp"))
    add_memory(tmp_path, pl.read_parquet(tmp_path / "variants.parquet").to_dicts())
    results = Results.open(tmp_path)
    selection = limited(gb="120 MB", context="16k")
    found = memory_line(Answers.of(Scope(results, selection)))
    assert found.extra == 24_005_440
    assert found.at == pytest.approx(120e6 - 24_005_440)
    assert found.in_words == "120.0 MB at 16,384 tokens: files up to 96.0 MB"
    figure = drawn(results, selection)
    assert line(figure) == pytest.approx(95.99456)
    for row in results.measured.to_dicts():
        assert (files(figure)[row["variant_id"]]["opacity"] < 1) == (row["size_bytes"] > 120e6 - 24_005_440)
    usual = memory_line(Answers.of(Scope(results)))
    # 1060 × 4,096 and 5,000,000 + 100 × 4,096.
    assert (usual.at, usual.extra, usual.context) == (None, 9_751_360, 4096)


def test_other_limits_make_files_faint_too(three: Results) -> None:
    figure = drawn(three, limited(rise="3 %"))
    within = Answers.of(Scope(three, limited(rise="3 %"))).within
    assert 0 < len(within) < three.measured.height
    assert {name for name, file in files(figure).items() if file["opacity"] == 1} == within
    assert line(figure) is None


def test_bands_are_named_where_the_axis_shows_them(three: Results) -> None:
    said = texts(drawn(three))
    assert {"equivalent for most uses", "some tokens change", "many tokens change"} <= set(said)
    high = drawn(three, Selection.of(quants=["Q2_K"]))
    assert "equivalent for most uses" not in texts(high)
    bands = [shape for shape in drawn(three).layout["shapes"] if shape["type"] == "rect"]
    edges = sorted(edge for shape in bands for edge in (shape["y0"], shape["y1"]))
    assert edges[1:-1] == pytest.approx([0.01, 0.01, 0.1, 0.1])


def test_a_picked_file_stays_and_the_others_fade(three: Results) -> None:
    figure = drawn(three, Selection.of(picked=["main-q4_0"]))
    chosen = [trace["selectedpoints"] for trace in figure.data if "selectedpoints" in trace]
    assert sum(map(len, chosen)) == 1
    faint = [note for note in figure.layout["annotations"] if note.get("opacity", 1) < 1]
    assert len(faint) > three.measured.height / 2
    assert not any("Q4_0</b>" in note["text"] for note in faint)


def test_an_unfinished_run_is_provisional_in_the_chart_and_in_words(tmp_path: Path) -> None:
    make_results(tmp_path, methods=("main",))
    path = tmp_path / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ended": None, "n_planned": 14}))
    results = Results.open(tmp_path)
    assert "<b>provisional</b>" in texts(drawn(results))
    page = render(results, "/", EVERYTHING)
    assert page.title.startswith("Provisional: ")
    assert "provisional" in str(page.beside)


def test_a_copy_of_the_baseline_is_below_the_log_axis(tmp_path: Path) -> None:
    make_results(tmp_path, methods=("main",))
    frame = pl.read_parquet(tmp_path / "variants.parquet")
    zero = (
        pl.when(pl.col("variant_id") == "main-q8_0").then(0.0).otherwise(pl.col("kld_mean")).alias("kld_mean")
    )
    frame.with_columns(zero).write_parquet(tmp_path / "variants.parquet")
    figure = drawn(Results.open(tmp_path))
    place = files(figure)["main-q8_0"]
    low, _ = figure.layout["yaxis"]["range"]
    assert low < math.log10(place["y"]) < math.log10(files(figure)["main-q6_k"]["y"])
    assert place["bar"] == 0
    assert "square-open" in figure.data[0]["marker"]["symbol"]
    assert "Open markers at the lower edge: a KLD of 0." in VIEW.noted(Scope(Results.open(tmp_path)))


@pytest.mark.parametrize("quants", [("Q8_0",), ("Q4_0", "Q8_0")])
def test_one_or_two_files_are_enough(tmp_path: Path, quants: tuple[str, ...]) -> None:
    results = Results.open(make_results(tmp_path, methods=("main",), quants=quants, with_layers=False))
    assert len(files(drawn(results))) == len(quants)
    VIEW.figure(Scope(results))


def test_several_devices_are_all_drawn_and_one_is_answered_for(tmp_path: Path) -> None:
    results = Results.open(make_devices(tmp_path, with_layers=False))
    figure = drawn(results, limited(gb="90 MB"))
    assert len(files(figure)) == results.measured.height == 42
    for row in results.measured.to_dicts():
        assert (files(figure)[row["variant_id"]]["opacity"] < 1) == (row["size_bytes"] > 90e6)
    assert sum(text.endswith("<b>main</b>") for text in texts(figure)) == 2
    assert [name for name, _, _ in legend(figure)] == ["CPU", "CUDA"]


def test_several_models_are_all_drawn(tmp_path: Path) -> None:
    results = Results.open(make_models(tmp_path, ["Big", "Small"], with_layers=False))
    figure = VIEW.draw(of_both(results))
    assert len(files(figure)) == 42
    assert legend(figure) == [("Big", "solid", "circle"), ("Small", "dash", "circle-open")]
    for name, style in results.styles.items():
        assert sum(text.endswith(f"<b>{name}</b>") and style.color in text for text in texts(figure)) == 2
    assert "Open markers" not in VIEW.noted(of_both(results))
    VIEW.figure(of_both(results))


def faint(scope: Scope) -> set[str]:
    return {name for name, file in files(VIEW.draw(scope)).items() if file["opacity"] < 1}


def test_a_limit_of_speed_makes_slow_files_of_every_model_faint(tmp_path: Path) -> None:
    results = Results.open(make_models(tmp_path, ["Big", "Small"], with_layers=False))
    fastest = pl.min_horizontal("decode_ms_p10", "decode_ms_p50")
    slow = set(results.measured.filter(1000 / fastest < 90)["variant_id"])
    assert {name.partition("-")[0] for name in slow} == {"Big", "Small"}
    scope = of_both(results, tps="90")
    assert faint(scope) == slow
    assert "Faint: files beyond your limits." in VIEW.noted(scope)


def test_a_limit_of_memory_counts_what_each_model_takes(tmp_path: Path) -> None:
    """A q8_0 cache of 4,096 tokens and buffers take 9,751,360 bytes, of Small 30 MB more."""
    engines = ("onnxruntime", "llama.cpp")
    make_models(tmp_path, ["Big", "Small"], with_layers=False, engines=engines)
    add_memory(tmp_path, pl.read_parquet(tmp_path / "variants.parquet").to_dicts())
    more = pl.when(pl.col("variant_id").str.starts_with("Small")).then(30_000_000).otherwise(0)
    path = tmp_path / "memory.parquet"
    pl.read_parquet(path).with_columns(pl.col("compute_bytes") + more).write_parquet(path)
    results = Results.open(tmp_path)
    sizes = {row["variant_id"]: row["size_bytes"] for row in results.measured.to_dicts()}
    left = {"Big": 120e6 - 9_751_360, "Small": 120e6 - 39_751_360}
    beyond = {name for name, size in sizes.items() if size > left[name.partition("-")[0]]}
    assert any(left["Small"] < size <= left["Big"] for size in sizes.values())
    scope = of_both(results, gb="120 MB")
    assert faint(scope) == beyond
    assert "(median of the files of Big)" in VIEW.noted(scope)


def test_without_a_divergence_the_answers_are_there_and_no_chart(tmp_path: Path) -> None:
    make_results(tmp_path, methods=("main",))
    path = tmp_path / "variants.parquet"
    pl.read_parquet(path).with_columns(kld_mean=pl.lit(None, pl.Float64)).write_parquet(path)
    page = render(Results.open(tmp_path), "/", EVERYTHING)
    assert page.title.startswith("Run main ")
    assert "Everyday use" in str(page.beside)
    assert "No selected file has a mean KLD" in str(page.figure)


def test_nothing_selected_leads_back(three: Results) -> None:
    page = render(three, "/", Selection.of(methods=["nobody"]))
    assert page.figure is None
    assert "No variant matches" in str(page.body)


def test_it_is_the_first_exhibit_with_the_verdict(three: Results) -> None:
    first = exhibits(Scope(three))[0]
    assert (first.slug, first.question) == ("overview", "Loss against size")
    assert any(item.text.startswith("At equal size") for item in first.insights)
    assert first.title.replace("\u00a0", " ") == VIEW.headline(Scope(three))
