"""The line about the picked variants, in every view and export."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.export.exhibit import exhibits
from dashboard.export.markdown import report
from dashboard.export.provenance import facts, footer
from dashboard.export.slide import picture
from dashboard.insights.picks import by_column, names, sentence
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.shell.address import COMPARE, EXPLORE, OVERVIEW, SUMMARY
from dashboard.shell.render import render
from dashboard.style import formats
from dashboard.views import View, registry

TWO = ["main-q4_0", "unsloth-q8_0"]


@pytest.fixture(scope="module")
def results(three_methods: Path) -> Results:
    return Results.open(three_methods)


def test_names_and_values_smallest_first(results: Results) -> None:
    scope = Scope(results, Selection.of(picked=TWO[::-1]))
    rows = {row["variant_id"]: row for row in scope.rows}
    small, large = (formats.number(rows[name]["kld_mean"]) for name in TWO)
    assert sentence(scope) == f"Picked (Mean KLD): main Q4_0 {small} nats, unsloth Q8_0 {large} nats"
    assert names(scope) == "main Q4_0 and unsloth Q8_0"
    assert sentence(Scope(results)) == names(Scope(results)) == ""


def test_a_pick_that_is_filtered_out_is_named_as_such(results: Results) -> None:
    line = sentence(Scope(results, Selection.of(methods=["main"], picked=TWO)), by_column("size_bytes"))
    first, second = line.split(", ")
    assert first.startswith("Picked (File size): main Q4_0")
    assert second.startswith("unsloth Q8_0")
    assert second.endswith("(filtered out)")


def test_many_picks_are_counted(results: Results) -> None:
    ids = results.measured["variant_id"].to_list()
    assert sentence(Scope(results, Selection.of(picked=ids))).endswith(f"and {len(ids) - 4} more")


def test_what_was_not_measured_is_said(results: Results) -> None:
    assert "main Q4_0 not measured" in sentence(
        Scope(results, Selection.of(picked=["main-q4_0"])), by_column("no_such_column")
    )


@pytest.mark.parametrize("slug", [OVERVIEW, *(view.id for view in registry()), COMPARE, EXPLORE, SUMMARY])
def test_every_page_names_the_picks(results: Results, slug: str) -> None:
    page = render(results, f"/{slug}", Selection.of(picked=TWO))
    assert page.picked.startswith("Picked (")
    assert "main Q4_0 " in page.picked
    assert "unsloth Q8_0 " in page.picked
    assert "not measured" not in page.picked
    assert render(results, f"/{slug}", Selection()).picked == ""


@pytest.mark.parametrize("view", registry(), ids=lambda view: view.id)
@pytest.mark.parametrize("switched", [False, True])
def test_every_view_shows_which_are_picked(results: Results, view: View, switched: bool) -> None:
    options = {option.key: option.choices[-1][0] for option in view.options if switched}
    picked = view.draw(Scope(results, Selection.of(picked=["main-q4_0"], options=options))).to_plotly_json()
    plain = view.draw(Scope(results, Selection.of(options=options))).to_plotly_json()
    assert picked != plain
    assert "Q4_0" in str(picked)


def test_exports_say_which_are_picked(results: Results) -> None:
    scope = Scope(results, Selection.of(picked=TWO))
    named = "main Q4_0 and unsloth Q8_0"
    assert f"picked: {named}" in footer(scope)
    assert facts(scope)["Picked"] == named
    text = report(scope)
    assert "| main Q4\\_0 (picked) |" in text
    for shown in exhibits(scope):
        assert shown.picked.startswith("Picked (")
        under = picture(scope, shown).figure["layout"]["title"]["subtitle"]["text"].replace("<br>", " ")
        assert under.startswith("Picked (")
    assert "picked" not in footer(Scope(results))
