"""Two files of one method and type have names of their own, in every list, legend, bar and sentence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from twins import FIRST, SECOND, make_twins

from dashboard.figures.point_labels import LABEL
from dashboard.insights.curves import inversions
from dashboard.insights.matching import one_type
from dashboard.insights.summary import summarize
from dashboard.results.exported import variants
from dashboard.results.folder import twin_names
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.toolbar import find_list
from dashboard.views import View, registry


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return Results.open(make_twins(tmp_path_factory.mktemp("twins"), windows=8))


def view(name: str) -> View:
    return next(view for view in registry() if view.id == name)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["main-q4_0"], [""]),
        (["main-q4_0", "main-q4_0-model-q4_0-v2"], ["", "model v2"]),
        (["m-main-q4_0-cpu", "m-main-q4_0-cpu-m.q4_0.imat"], ["", "imat"]),
        (["main-q4_0-x", "main-q4_0-y", "main-q4_0-y-2"], ["x", "y", "y 2"]),
        (["main-q4_0", "main-q4_0-main-q4_0", "main-q4_0-main-q4_0-2"], ["", "main q4_0", "main q4_0 2"]),
        (["one", "two"], ["one", "two"]),
    ],
)
def test_what_tells_files_apart(ids: list[str], expected: list[str]) -> None:
    assert twin_names(["main Q4_0"] * len(ids), ids) == expected
    assert twin_names(list(map(str, range(len(ids)))), ids) == [""] * len(ids)


def test_labels_are_unique_and_others_stay_as_they_are(results: Results, three_methods: Path) -> None:
    labels = results.labels
    assert len(set(labels.values())) == len(labels)
    assert (labels[FIRST], labels[SECOND]) == ("main Q4_K_M", "main Q4_K_M imat")
    assert set(Results.open(three_methods).variants["twin"]) == {None}
    names = [option.children for option in find_list(results)]
    assert len(set(names)) == len(names) == results.measured.height


def test_a_label_that_another_file_has_by_its_type(tmp_path: Path) -> None:
    folder = make_twins(tmp_path, windows=8)
    results = Results.open(folder)
    frame = results.variants.drop("label", "twin", "baseline_id")
    types = {"main-q8_0": "Q4_K_M imat"}
    frame.with_columns(
        quant=frame["variant_id"].replace_strict(types, default=None).fill_null(frame["quant"])
    ).write_parquet(folder / "variants.parquet")
    labels = Results.open(folder).labels
    assert len(set(labels.values())) == len(labels)


def test_bars_of_confidence_end_at_100_per_cent(results: Results) -> None:
    totals: Counter[tuple[str, str]] = Counter()
    for trace in (
        view("confidence")
        .draw(Scope(results, Selection.of(options={"share": "own"})))
        .to_plotly_json()["data"]
    ):
        for name, share in zip(trace["y"], trace["x"], strict=True):
            totals[trace.get("xaxis", "x"), name] += share
    assert [round(total, 6) for total in totals.values()] == [100] * len(totals)
    assert "Q4_K_M imat" in {name for _, name in totals}


def test_strips_of_layers_have_a_row_each(results: Results) -> None:
    drawn = view("layers").draw(Scope(results, Selection.of(options={"measure": "hidden"}))).to_plotly_json()
    names = drawn["data"][0]["y"]
    assert len(set(names)) == len(names) == results.measured.height


def test_no_file_is_dropped_where_layers_are_counted(results: Results) -> None:
    pair = Selection.of(only=[FIRST, SECOND])
    (mixed,) = [i for i in view("layers").insights(Scope(results, pair)) if "tensor" in i.text]
    assert "2 shown" in mixed.text or "of 2" in mixed.text or "Every shown" in mixed.text
    (spread,) = [i for i in view("layers").insights(Scope(results, pair)) if "concentrated" in i.text]
    assert "main Q4_K_M" in spread.text


def test_ridges_of_both_have_their_own_lanes(results: Results) -> None:
    axis = (
        view("delta-logp")
        .draw(Scope(results, Selection.of(options={"lanes": "every"})))
        .to_plotly_json()["layout"]["yaxis"]
    )
    assert "main Q4_K_M imat" in axis["ticktext"]


def test_of_two_files_the_first_stands_for_the_method(results: Results) -> None:
    shown = {row["variant_id"] for row in one_type(results.select(EVERYTHING).to_dicts())}
    assert FIRST in shown
    assert SECOND not in shown


def test_picked_points_are_named_apart(results: Results) -> None:
    for picked, name in ((FIRST, "Q4_K_M"), (SECOND, "Q4_K_M imat")):
        drawn = view("ppl-bits").draw(Scope(results, Selection.of(picked=[picked]))).to_plotly_json()
        labels = [note["text"] for note in drawn["layout"]["annotations"] if note.get("name") == LABEL]
        assert labels[0] == name, "the picked file is named first"


def test_files_of_the_same_bits_are_in_no_order(results: Results) -> None:
    """Neither is the larger one: a difference between them breaks no order over bits."""
    rows = [row for row in results.select(EVERYTHING).to_dicts() if row["variant_id"] in {FIRST, SECOND}]
    worse = [row | {"variant_id": f"no tokens {n}", "ln_ppl_ratio": 0.1 * n} for n, row in enumerate(rows)]
    sure = [row | {"ln_ppl_ratio_se": 1e-6} for row in worse]
    assert inversions(Scope(results, EVERYTHING), sure) == []


def test_heavy_losses_are_listed_by_both_names(results: Results) -> None:
    lines = {line.method: line for line in summarize(Scope(results, EVERYTHING))}
    assert any(text.endswith("Q4_K_M and Q4_K_M imat") for text in lines["main"].limitations)


def test_what_tells_apart_is_no_column_of_the_data(results: Results) -> None:
    assert not {"label", "twin"} & set(variants(Scope(results, EVERYTHING)).columns)
