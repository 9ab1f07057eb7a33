"""View 3: what picks and clicks leave as it is, and what the title marks."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import polars as pl
import pytest

from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style import formats, roles
from dashboard.views import registry

VIEW = next(view for view in registry() if view.id == "layers")


@pytest.fixture(scope="module")
def results(three_methods: Any) -> Results:
    return Results.open(three_methods)


def drawn(results: Results, **selection: Any) -> go.Figure:
    return VIEW.figure(Scope(results, Selection.of(**selection)))


def cells(figure: go.Figure) -> dict[str, list[list[float | None]]]:
    """Colours by variant, in the order of the panels."""
    found = [trace for trace in figure.data if trace.type == "heatmap"]
    return {str(trace.customdata[0][0][0]): [list(line) for line in trace.z] for trace in found}


def frames(figure: go.Figure) -> list[Any]:
    return [shape for shape in figure.layout.shapes if shape.type == "rect"]


def test_a_pick_is_drawn_first_and_changes_no_other_panel_and_no_colour(results: Results) -> None:
    plain, picked = drawn(results), drawn(results, picked=["main-q2_k"])
    before, after = cells(plain), cells(picked)
    assert "main-q2_k" not in before
    assert list(after) == ["main-q2_k", *before]
    assert {name: after[name] for name in before} == before
    assert picked.layout.coloraxis == plain.layout.coloraxis


def test_a_picked_file_that_is_drawn_already_is_framed_in_its_place(results: Results) -> None:
    plain = drawn(results)
    second = list(cells(plain))[1]
    picked = drawn(results, picked=[second])
    assert cells(picked) == cells(plain)
    assert len(frames(picked)) == len(frames(plain)) + 1
    (title,) = (note.text for note in picked.layout.annotations if "picked" in note.text)
    assert title == f"{list(plain.layout.annotations)[1].text} · picked"


def test_a_clicked_cell_keeps_colours_and_order(results: Results) -> None:
    plain, clicked = drawn(results), drawn(results, layers=[3], roles=["attn_q"])
    assert cells(clicked) == cells(plain)
    assert clicked.layout.coloraxis == plain.layout.coloraxis
    assert clicked.layout.yaxis == plain.layout.yaxis


def test_the_title_names_the_worst_role_and_the_worst_cell_of_all_and_that_is_marked(
    results: Results,
) -> None:
    """The largest mean of a role and the maximum over the drawn files, from the frame."""
    figure = drawn(results)
    frame = pl.read_parquet(results.folder / "layers.parquet").filter(
        pl.col("variant_id").is_in(list(cells(figure))), pl.col("weight_error").is_not_null()
    )
    means = (
        frame.group_by(pl.col("role").cast(pl.String)).agg(pl.col("weight_error").mean()).sort("weight_error")
    )
    role = means["role"][-1]
    worst = frame.sort("weight_error").row(-1, named=True)
    value = formats.number(worst["weight_error"])
    title = VIEW.headline(Scope(results))
    assert f"({role}) is hit hardest" in title
    assert worst["role"] != role
    assert f"the single worst is {roles.named(worst['role'])} in layer {worst['layer']} of " in title
    assert title.endswith(f"({value})")
    (label,) = (note for note in figure.layout.annotations if note.showarrow)
    assert (label.text, label.x) == (f"<b>{value}</b>", worst["layer"])
    assert len(frames(figure)) == 1


def test_strips_mark_the_last_layer_that_the_title_is_about(results: Results) -> None:
    selection = Selection.of(options={"measure": "hidden"})
    figure, title = VIEW.figure(Scope(results, selection)), VIEW.headline(Scope(results, selection))
    (label,) = (note for note in figure.layout.annotations if note.showarrow)
    name = title.split(": the output error of the last layer")[0]
    assert label.x == max(figure.data[0].x)
    assert list(figure.layout.yaxis.tickvals)[int(label.y)] == name


def test_the_caption_speaks_of_the_drawn_measure_alone(results: Results) -> None:
    captions = {
        key: VIEW.captioned(Scope(results, Selection.of(options={"measure": key})))
        for key in ("weight", "hidden")
    }
    assert "Output error" not in captions["weight"]
    assert "colour scale" not in captions["hidden"]
    assert "Weight error" not in captions["hidden"]
