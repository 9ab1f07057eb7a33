"""View 5 with types of the cache: its points, its switch, its words, and what is exported."""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cache_results import CACHE_BYTES, FIVE, FOUR, LOSSES, make_cache_results
from dash._utils import to_json

from dashboard.export.archive import archive
from dashboard.export.markdown import report
from dashboard.pages import compare, explore
from dashboard.results.library import Library
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.server.app import create_app
from dashboard.shell.callbacks import screen
from dashboard.shell.render import render
from dashboard.views import registry
from evaluator.results.files import MANIFEST_NAME

VIEW = next(view for view in registry() if view.id == "size")
AT_16K = Selection.of(options={"memory": "16k"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache_results(tmp_path_factory.mktemp("caches"))


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return Results.open(folder)


def choices(folder: Path, query: str = "") -> list[list[str]]:
    """Return the texts of each switch's choices."""
    options = screen(Library([folder]), "/size", query, {})["options"]
    return [[choice.children for choice in option.children[1].children] for option in options]


@pytest.mark.parametrize(("loss", "column"), [("kld", None), ("ppl", 8)])
def test_a_point_per_file_and_type(results: Results, loss: str, column: int | None) -> None:
    scope = Scope(results, Selection.of(options={"memory": "16k", "as_run": loss}))
    (points,) = [trace for trace in VIEW.draw(scope).data if trace.get("customdata")]
    size = {FOUR: 81.84375, FIVE: 96.01875}
    expected = {
        (size[name] + CACHE_BYTES[kind] * 16.384 / 1e6, lost if column is None else 1 / (column + lost))
        for name, kinds in LOSSES.items()
        for kind, lost in kinds.items()
    }
    assert sorted(zip(points["x"], points["y"], strict=True)) == [
        pytest.approx(pair) for pair in sorted(expected)
    ]
    assert points["customdata"] == [[FOUR]] * 3 + [[FIVE]] * 3
    assert points["marker"]["symbol"] == ["square", "square-open", "square-open-dot"] * 2
    assert "q8_0" in points["hovertext"][1]


def test_bars_are_95_per_cent_intervals(results: Results) -> None:
    def points(loss: str) -> dict[str, Any]:
        scope = Scope(results, Selection.of(options={"memory": "16k", "as_run": loss}))
        return next(trace for trace in VIEW.draw(scope).data if trace.get("customdata"))

    t = 2.0687  # Student's t with 23 degrees of freedom, two-sided 5 %
    assert points("kld")["error_y"]["array"] == pytest.approx([0.002 * t] * 6, rel=1e-4)
    ppl = points("ppl")
    grown = [height * math.expm1(0.001 * t) for height in ppl["y"]]
    assert ppl["error_y"]["array"] == pytest.approx(grown, rel=1e-4)


def test_the_points_of_a_file_are_joined(results: Results) -> None:
    data = VIEW.draw(Scope(results, AT_16K)).data
    (joined,) = [trace for trace in data if trace.get("line", {}).get("width") == 1]
    assert [value is None for value in joined["x"]] == [False, False, False, True] * 2
    picked = Selection.of(options={"memory": "16k"}, picked=[FOUR])
    data = VIEW.draw(Scope(results, picked)).data
    (joined,) = [trace for trace in data if trace.get("line", {}).get("width") == 1]
    assert len(joined["x"]) == 4


def test_the_front_is_over_all_files_and_types(results: Results) -> None:
    (points,) = [trace for trace in VIEW.draw(Scope(results, AT_16K)).data if trace.get("customdata")]
    places = zip(points["x"], points["y"], points["marker"]["opacity"], strict=True)
    # At 16k, Q5_K_M with q4_0 takes less than Q4_K_M with q8_0, which is worse, as is Q4_K_M with f16.
    assert [loss for _, loss, opacity in sorted(places) if opacity == 1] == [
        LOSSES[FOUR]["q4_0"],
        LOSSES[FIVE]["q4_0"],
        LOSSES[FIVE]["q8_0"],
        LOSSES[FIVE]["f16"],
    ]


def test_words_are_of_the_switch(results: Results) -> None:
    alone, with_cache = (render(results, "/size", selection) for selection in (EVERYTHING, AT_16K))
    assert alone.eyebrow == "5 · Model size against 1/PPL"
    assert "Large points" in alone.caption
    assert with_cache.eyebrow == "5 · Memory against loss, by type of the cache"
    assert "Large points" not in with_cache.caption
    assert (
        "file and cache, without the engine's buffers, which were not measured. Run in llama.cpp;"
        in with_cache.caption
    )
    assert with_cache.title.endswith("(16k context)")
    assert "16k context" in report(Scope(results, AT_16K))


def test_the_switch_offers_what_the_model_was_made_for(tmp_path: Path) -> None:
    contexts = ["4k", "8k", "16k", "32k", "128k"]
    folder = make_cache_results(tmp_path)
    scales = ["below the baseline", "as measured"]
    assert choices(folder) == [["no tokens (file alone)", *contexts], scales]
    assert choices(folder, "?memory=4k")[1:] == [["KLD", "1/PPL"]]
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"trained_context": 8192}))
    assert choices(folder) == [["no tokens (file alone)", *contexts[:2]], scales]
    results = Results.open(folder)
    assert VIEW.headline(Scope(results, AT_16K)) == VIEW.headline(Scope(results))


def test_nothing_changes_without_the_frame(three_methods: Path) -> None:
    assert choices(three_methods) == choices(three_methods, "?memory=16k")
    assert len(choices(three_methods)) == 1, "no switch of the cache"
    results = Results.open(three_methods)
    pages = [render(results, "/size", selection) for selection in (EVERYTHING, AT_16K)]
    assert to_json(pages[0].figure) == to_json(pages[1].figure)
    assert (pages[0].title, pages[0].caption) == (pages[1].title, pages[1].caption)
    assert pages[0].insights == pages[1].insights
    assert VIEW.data(Scope(results)).equals(VIEW.data(Scope(results, AT_16K)))
    assert "Types of the cache" not in str(compare.body(Scope(results)))
    assert "Cache types" not in str(explore.body(Scope(results)))
    with zipfile.ZipFile(io.BytesIO(archive(Scope(results, Selection.of(methods=["main"])), {}))) as packed:
        assert not [name for name in packed.namelist() if "kv_cache" in name]


def test_files_without_the_frame_are_named(tmp_path: Path) -> None:
    results = Results.open(make_cache_results(tmp_path, {FOUR: LOSSES[FOUR]}))
    said = VIEW.insights(Scope(results, AT_16K))[-1].text
    assert said == "main Q5_K_M is not drawn: not run with types of the cache."


def test_the_frame_is_exported(folder: Path, results: Results) -> None:
    assert VIEW.data(Scope(results, AT_16K)).height == 6
    client = create_app(folder).server.test_client()
    saved = client.get("/export/data/kv_cache.csv?quant=Q5_K_M")
    assert saved.headers["Content-Disposition"].endswith('-kv_cache.csv"')
    frame = pl.read_csv(saved.data)
    assert frame["baseline_kld_mean"].to_list() == [LOSSES[FIVE][kind] for kind in ("f16", "q4_0", "q8_0")]
    with zipfile.ZipFile(io.BytesIO(archive(Scope(results), {}))) as packed:
        assert "data/Synthetic-135M-kv_cache.csv" in packed.namelist()
    assert "Cache types as CSV" in str(explore.body(Scope(results)))


def test_compare_has_a_row_per_type_and_file(results: Results) -> None:
    (box,) = [item for item in compare.body(Scope(results)).children if "Types of the cache" in str(item)]
    lines = box.children.children[-1].children[1].children
    cells = [[cell.children for cell in line.children] for line in lines]
    first, _ = compare.chosen(Scope(results))
    kinds = LOSSES[str(first["variant_id"])]
    assert [line[:2] for line in cells] == [[kind, name] for kind in ("f16", "q8_0", "q4_0") for name in "AB"]
    losses = [f"{kinds['f16']:.4f} ± 0.0041", f"{kinds['f16'] / 100:.6f} ± 0.000021"]
    assert cells[0][2:] == [*losses, f"{8 + kinds['f16']:.3f}", "10.0 MB", "10.0", "20.0"]
