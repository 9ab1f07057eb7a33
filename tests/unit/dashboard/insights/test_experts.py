"""The worst expert of a place and of all, and how much experts differ."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from mixture_results import WORST, WORST_BY, make_mixture_results
from results_factory import make_results

from dashboard.insights.experts import opened, statements, worst_in, worst_of
from dashboard.insights.layer_measures import ATTRIBUTION, HIDDEN, WEIGHT, Measure
from dashboard.insights.layers import Parts, Shown
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection

CELL = (2, "ffn_up_exps")


def said(results: Results) -> list[str]:
    return [insight.text for insight in statements(results, Scope(results, EVERYTHING).rows)]


def test_the_first_of_equally_bad_experts_is_the_worst() -> None:
    worst = worst_in(CELL, [0.1, 0.3, None, 0.3])
    assert worst is not None
    assert (worst.number, worst.error) == (1, 0.3)
    assert worst.mean == pytest.approx(0.7 / 3)
    assert worst.times == ", 1.29 × the mean of its layer's experts"
    assert worst.place == "ffn_up_exps in layer 2"
    assert worst_in(CELL, [None, None]) is None
    exact = worst_in(CELL, [0.0, 0.0])
    assert exact is not None
    assert (exact.ratio, exact.times) == (None, "")
    assert worst_of({}) is None


@pytest.mark.parametrize(
    ("measure", "selection", "role"),
    [
        (WEIGHT, Selection.of(roles=["ffn_up_exps"], layers=[2]), "ffn_up_exps"),
        (ATTRIBUTION, Selection.of(roles=["ffn_up_exps"]), "ffn_up_exps"),
        (WEIGHT, Selection.of(roles=["ffn_up_exps"], layers=[3]), None),
        (WEIGHT, Selection.of(roles=["ffn_up_exps", "attn_q"]), None),
        (WEIGHT, Selection.of(roles=["attn_q"], layers=[2]), None),
        (WEIGHT, Selection.of(layers=[2]), None),
        (HIDDEN, Selection.of(roles=["ffn_up_exps"], layers=[2]), None),
    ],
)
def test_one_framed_role_of_experts_is_open(measure: Measure, selection: Selection, role: str | None) -> None:
    shown = Shown(measure, [], {"v": Parts({}, {}, {CELL: [0.1, 0.2]})})
    assert opened(shown, selection) == role


def test_the_worst_expert_of_all_is_named_with_its_spread(tmp_path: Path) -> None:
    layer, role, number = WORST
    worst, spread = said(Results.open(make_mixture_results(tmp_path)))
    ratio = WORST_BY / (1 + (WORST_BY - 1) / 16)
    assert worst.startswith(f"The worst expert is number {number} of {role} in layer {layer}, ")
    assert float(worst.split(", ")[1].split(" ")[0]) == pytest.approx(ratio, rel=0.1)
    assert spread.startswith("The experts of a layer are hit unevenly: the worst has at most ")


def test_experts_without_an_error_are_counted(tmp_path: Path) -> None:
    path = make_mixture_results(tmp_path) / "layers.parquet"
    without = pl.col("expert_errors").list.eval(pl.when(pl.element().cum_count() > 1).then(pl.element()))
    frame = pl.read_parquet(path)
    places = frame["expert_errors"].drop_nulls().len()
    frame.with_columns(without).write_parquet(path)
    results = Results.open(tmp_path)
    worst, _ = statements(results, Scope(results, EVERYTHING).rows)
    assert f"; {places} without a finite error" in worst.detail


def test_nothing_is_said_of_a_model_without_experts_or_with_exact_ones(tmp_path: Path) -> None:
    assert said(Results.open(make_results(tmp_path / "dense", methods=("main",), windows=4))) == []
    path = make_mixture_results(tmp_path / "exact") / "layers.parquet"
    exact = pl.col("expert_errors").list.eval(0.0 * pl.element())
    pl.read_parquet(path).with_columns(exact).write_parquet(path)
    assert said(Results.open(tmp_path / "exact")) == []
