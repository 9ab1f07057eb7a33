"""View 3 of a folder in which few files have an attribution: what is drawn, by which measure, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from results_factory import make_results

from dashboard.insights.tier import tier
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.views import registry

VIEW = next(view for view in registry() if view.id == "layers")
ALONE = "main-q4_0"


def attributed(folder: Path, *variants: str) -> Results:
    """Return a folder of three methods and two types with attributions of the named files."""
    path = make_results(folder, quants=("Q4_0", "Q8_0"), windows=4, with_attribution=True) / "layers.parquet"
    kept = pl.when(pl.col("variant_id").is_in(variants)).then(pl.col("attribution_kld"))
    pl.read_parquet(path).with_columns(attribution_kld=kept.otherwise(None)).write_parquet(path)
    return Results.open(folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return attributed(tmp_path_factory.mktemp("alone"), ALONE)


def scope_of(results: Results, measure: str = "best", **selection: Any) -> Scope:
    return Scope(results, Selection.of(options={"measure": measure}, **selection))


def drawn(scope: Scope) -> set[str]:
    found = [trace for trace in VIEW.figure(scope).data if trace.type == "heatmap"]
    return {str(trace.customdata[0][0][0]) for trace in found}


def told(scope: Scope, kind: str) -> list[str]:
    return [insight.text for insight in VIEW.insights(scope) if insight.kind == kind]


@pytest.mark.parametrize("methods", [(), ("main", "unsloth"), ("main",)])
def test_an_attribution_of_one_file_hides_no_other(alone: Results, methods: tuple[str, ...]) -> None:
    by_default, by_weight = (scope_of(alone, name, methods=methods) for name in ("best", "weight"))
    assert drawn(by_default) == drawn(by_weight)
    assert len(drawn(by_default)) == (len(methods) or 3) + (methods == ("main",))
    assert VIEW.headline(by_default) == VIEW.headline(by_weight)
    assert VIEW.captioned(by_default).endswith(VIEW.captioned(by_weight))
    assert told(by_default, "caution") == []


def test_a_statement_names_the_more_telling_measure_of_a_few(alone: Results) -> None:
    said = "The attribution of main Q4_0 was measured, too: “Measure: attribution” shows it."
    assert said in told(scope_of(alone), "note")
    for scope in (
        scope_of(alone, "weight"),
        scope_of(alone, "attribution"),
        scope_of(alone, quants=["Q8_0"]),
    ):
        assert not [text for text in told(scope, "note") if "attribution" in text]


def test_an_attribution_of_all_files_is_the_default(alone: Results, tmp_path: Path) -> None:
    one = scope_of(alone, methods=["main"], quants=["Q4_0"])
    assert drawn(one) == {ALONE}
    assert "Attribution: KLD" in VIEW.captioned(one)
    every = attributed(tmp_path, *alone.measured["variant_id"])
    assert drawn(scope_of(every)) == drawn(scope_of(every, "weight"))
    assert "Attribution: KLD" in VIEW.captioned(scope_of(every))


def test_an_attribution_of_all_drawn_files_is_the_default_and_others_are_named(
    alone: Results, tmp_path: Path
) -> None:
    shown = tier(Scope(alone), Scope(alone).rows, 6).rows
    few = attributed(tmp_path, *(str(row["variant_id"]) for row in shown))
    left = [
        str(row["label"]) for row in Scope(few).rows if row["label"] not in {row["label"] for row in shown}
    ]
    (caution,) = told(scope_of(few), "caution")
    assert drawn(scope_of(few)) == {row["variant_id"] for row in shown}
    assert all(label in caution for label in left)
    picked = next(str(row["variant_id"]) for row in Scope(few).rows if row["label"] in left)
    assert drawn(scope_of(few, picked=[picked])) == drawn(scope_of(few)), "a pick changes no other panel"


def test_files_without_the_chosen_measure_are_named(alone: Results) -> None:
    scope = scope_of(alone, "attribution")
    assert drawn(scope) == {ALONE}
    assert told(scope, "caution") == [
        "bartowski Q4_0, bartowski Q8_0, main Q8_0 and 2 more are not drawn: attribution was not measured."
    ]
    one = scope_of(alone, "attribution", methods=["main"])
    assert told(one, "caution") == ["main Q8_0 is not drawn: attribution was not measured."]


def test_a_measure_that_no_selected_file_has_is_named(alone: Results) -> None:
    scope = scope_of(alone, "attribution", methods=["unsloth"])
    assert VIEW.headline(scope) == "No selected variant has a measured attribution"
    assert told(scope, "caution") == [
        "unsloth Q4_0 and unsloth Q8_0 are not drawn: attribution was not measured."
    ]


def test_a_file_without_layers_is_named_and_the_others_are_drawn(tmp_path: Path) -> None:
    attributed(tmp_path)
    path = tmp_path / "layers.parquet"
    pl.read_parquet(path).filter(pl.col("variant_id") != ALONE).write_parquet(path)
    scope = scope_of(Results.open(tmp_path))
    assert len(drawn(scope)) == 3
    assert "main Q4_0 is not drawn: weight error was not measured." in told(scope, "caution")


def test_the_line_of_picks_tells_an_attribution_from_the_kld_of_the_file(alone: Results) -> None:
    pick = ["unsloth-q4_0"]
    line = VIEW.about_picks(scope_of(alone, "attribution", picked=pick))
    assert line == "Picked (mean attribution): unsloth Q4_0 not measured"
    assert VIEW.about_picks(scope_of(alone, picked=pick)).startswith(
        "Picked (mean weight error): unsloth Q4_0 0."
    )
