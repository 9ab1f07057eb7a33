"""View 6 as change from the baseline: each bar is a difference of shares that can be counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from results_factory import BASELINE_ID, make_results

from dashboard.figures.drawing import Drawing
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.views import registry

VIEW = next(view for view in registry() if view.id == "confidence")
EDGES = [0.25, 0.5, 0.75, 0.95]


def shares(folder: Path, variant_id: str) -> np.ndarray:
    """Shares of tokens per bin in per cent, counted from the file; a token on an edge is in the lower bin."""
    top = pl.read_parquet(folder / "tokens" / f"{variant_id}.parquet")["top_prob"].to_numpy()
    return 100 * np.bincount(np.searchsorted(EDGES, top, side="left"), minlength=5) / len(top)


def bars(drawn: Drawing) -> list[dict[str, Any]]:
    return [trace for trace in drawn.data if trace["type"] == "bar"]


def test_bars_are_differences_of_shares_and_add_up_to_0(three_methods: Path) -> None:
    traces = bars(VIEW.draw(Scope(Results.open(three_methods), EVERYTHING)))
    assert [trace["meta"]["bin"] for trace in traces] == [4, 3, 2, 1, 0]
    base, total = shares(three_methods, BASELINE_ID), 0.0
    for trace in traces:
        index = trace["meta"]["bin"]
        for (name, number), value in zip(trace["customdata"], trace["x"], strict=True):
            assert number == index
            assert value == pytest.approx((shares(three_methods, name) - base)[index], abs=1e-9)
            total += value
        assert len(trace["error_x"]["array"]) == len(trace["x"])
    assert total == pytest.approx(0, abs=1e-9)


def test_rows_are_ordered_by_bits_within_their_method(three_methods: Path) -> None:
    results = Results.open(three_methods)
    drawn = VIEW.draw(Scope(results, EVERYTHING))
    title = VIEW.headline(Scope(results, EVERYTHING))
    bits = {
        row["variant_id"]: (not title.startswith(row["method"]), row["method"], row["bits_per_weight"])
        for row in results.measured.to_dicts()
    }
    places = sorted(
        (y, name) for (name, _), y in zip(bars(drawn)[0]["customdata"], bars(drawn)[0]["y"], strict=True)
    )
    assert [bits[name] for _, name in places] == sorted(bits.values())
    assert drawn.layout["yaxis"]["range"][0] > drawn.layout["yaxis"]["range"][1], "the first row is on top"
    assert {"<b>bartowski</b>", "<b>main</b>", "<b>unsloth</b>"} <= set(drawn.layout["yaxis"]["ticktext"])


def test_all_panels_have_one_scale_and_do_not_overlap(three_methods: Path) -> None:
    layout = VIEW.draw(Scope(Results.open(three_methods), EVERYTHING)).layout
    axes = [layout[f"xaxis{number}"] for number in ("", 2, 3, 4, 5)]
    scales = [
        (axis["range"][1] - axis["range"][0]) / (axis["domain"][1] - axis["domain"][0]) for axis in axes
    ]
    assert scales == pytest.approx([scales[0]] * 5)
    ends = [end for axis in axes for end in axis["domain"]]
    assert ends == sorted(ends)
    assert (ends[0], ends[-1]) == pytest.approx((0, 1))
    assert all(axis["range"][0] < 0 < axis["range"][1] for axis in axes)


def test_the_title_s_value_is_at_its_bar(three_methods: Path) -> None:
    results = Results.open(three_methods)
    scope = Scope(results, EVERYTHING)
    title, drawn = VIEW.headline(scope), VIEW.draw(scope)
    sure = bars(drawn)[0]
    assert sure["meta"]["bin"] == 4
    values = {results.labels[name]: x for (name, _), x in zip(sure["customdata"], sure["x"], strict=True)}
    label = max(values, key=lambda name: abs(values[name]))
    assert title.startswith(f"{label} has ")
    vivid = {
        results.labels[name]
        for trace in bars(drawn)
        for (name, _), opacity in zip(trace["customdata"], trace["marker"]["opacity"], strict=True)
        if opacity == 1
    }
    assert vivid == {label}
    (note,) = [note for note in drawn.layout["annotations"] if note["text"].startswith("<b>")]
    assert note["text"].removeprefix("<b>\N{MINUS SIGN}").removesuffix("</b>") in title
    assert note["xref"] == sure["xaxis"]
    quant = drawn.layout["yaxis"]["ticktext"][note["y"]]
    assert quant.startswith("<b>")
    assert quant.removeprefix("<b>").removesuffix("</b>") in label


@pytest.mark.parametrize("picked", [[], ["main-q4_0", "unsloth-q8_0"]])
def test_error_bars_are_as_faint_as_their_files(three_methods: Path, picked: list[str]) -> None:
    """A bar has one error bar: in the text's colour if it stands out, else in a fainter one, of the same length."""
    drawn = VIEW.draw(Scope(Results.open(three_methods), Selection.of(picked=picked)))
    by_panel = {trace["xaxis"]: trace for trace in drawn.data if trace["type"] == "scatter"}
    assert len(by_panel) == len(bars(drawn)) == 5
    for bar in bars(drawn):
        faint = by_panel[bar["xaxis"]]
        assert (faint["x"], faint["y"]) == (bar["x"], bar["y"])
        assert faint["error_x"]["color"].startswith("rgba(")
        assert "color" not in bar["error_x"], "the theme's template gives it"
        lengths = zip(bar["error_x"]["array"], faint["error_x"]["array"], strict=True)
        for opacity, (own, other) in zip(bar["marker"]["opacity"], lengths, strict=True):
            assert (own > 0, other > 0) == (opacity > 0.5, opacity < 0.5)


def test_a_few_files_are_named_whole_and_many_are_thinned(three_methods: Path, tmp_path: Path) -> None:
    results = Results.open(three_methods)
    few = VIEW.draw(Scope(results, Selection.of(quants=["Q4_0"])))
    assert {text.removeprefix("<b>").removesuffix("</b>") for text in few.layout["yaxis"]["ticktext"]} == {
        "bartowski Q4_0", "main Q4_0", "unsloth Q4_0",
    }  # fmt: skip
    methods = tuple(f"m{index:02}" for index in range(11))
    quants = ("Q2_K", "Q3_K_M", "Q4_0", "Q4_K_M", "Q6_K", "Q8_0")
    many = Results.open(make_results(tmp_path, methods=methods, quants=quants, windows=2, with_layers=False))
    drawn = VIEW.draw(Scope(many, Selection.of(picked=["m03-q4_0"])))
    names = {name for name, _ in bars(drawn)[0]["customdata"]}
    assert len(names) <= 61
    assert "m03-q4_0" in names
    assert {f"{method}-q2_k" for method in methods} | {f"{method}-q8_0" for method in methods} <= names
    said = [item.text for item in VIEW.insights(Scope(many, EVERYTHING))]
    assert "55 of 66 variants are drawn." in said
