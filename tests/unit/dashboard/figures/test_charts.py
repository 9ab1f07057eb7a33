"""Pieces that several figures are drawn with."""

from typing import Any

import plotly.graph_objects as go
import polars as pl
import pytest
from results_factory import make_results

from dashboard.figures import axes, charts, heatmaps
from dashboard.figures.colour_scale import Scale
from dashboard.insights.layer_measures import ATTRIBUTION
from dashboard.insights.layers import Parts, Shown
from dashboard.results import rows
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style import formats
from dashboard.views import registry


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.0123, 0.0021, "0.0123 ± 0.0021"),
        (-1.5, 0.25, "−1.50 ± 0.25"),
        (120.0, 30.0, "120 ± 30"),
        (0.5, float("inf"), "0.500"),
    ],
)
def test_values_are_written_to_their_error(value: float, error: float, text: str) -> None:
    assert formats.with_error(value, error) == text


def test_padded_ranges_are_never_empty() -> None:
    assert axes.padded([1.0, 3.0], 0.1) == pytest.approx([0.8, 3.2])
    for values in ([2.0], [0.0], [5.0, 5.0]):
        low, high = axes.padded(values)
        assert low < high


def test_sizes_are_in_the_unit_that_reads_well() -> None:
    assert axes.byte_unit([5e8])[1] == "MB"
    assert axes.byte_unit([5e8, 2e9])[1] == "GB"
    assert "10⁹" in axes.size_title([2e9])


def test_log_ticks_are_round_numbers() -> None:
    assert axes.log_axis([0.9, 110])["ticktext"] == ["1", "2", "5", "10", "20", "50", "100"]
    assert len(axes.log_axis([15.1, 15.9])["ticktext"]) >= 3


def row(method: str, model: str = "m", device: str = "cpu", **more: Any) -> dict[str, Any]:
    values = {"method": method, "model": model, "device": device, "bits_per_weight": 4.0}
    return (
        values | {"variant_id": f"{method}-{model}-{device}", "label": f"{method} Q4", "quant": "Q4"} | more
    )


def test_models_and_devices_are_apart_only_where_there_are_several() -> None:
    assert list(charts.by_method([row("a"), row("b")])) == ["a", "b"]
    assert list(charts.by_method([row("a", "m"), row("a", "n")])) == ["a · m", "a · n"]
    assert list(charts.by_method([row("a", "m", "cpu"), row("a", "m", "cuda")])) == ["a · CPU", "a · CUDA"]


def test_only_one_place_is_compared() -> None:
    three = [row("a", "m"), row("a", "n"), row("b", "n")]
    assert [r["variant_id"] for r in rows.one_place(three)] == ["a-n-cpu", "b-n-cpu"]
    assert rows.one_place([]) == []


TYPES = {(0, "attn_q"): "Q4_K", (1, "attn_q"): "Q6_K", (0, "ffn_up"): "Q4_K"}
FOUND = {"v": {(0, "attn_q"): 0.1, (1, "attn_q"): 0.2, (0, "ffn_up"): 0.3, (0, "ffn_down"): 0.4}}
EXPERTS = {(0, "ffn_up"): [0.1, None, 0.3]}


def panels(layers: set[int], roles: set[str]) -> go.Figure:
    marked = (frozenset(layers), frozenset(roles))
    places = frozenset({*TYPES, (1, "ffn_down")})
    parts = {"v": Parts(FOUND["v"], TYPES, EXPERTS, places)}
    return heatmaps.panels(Shown(ATTRIBUTION, [row("a", variant_id="v")], parts), marked).checked()


def test_a_panel_names_its_usual_type_and_writes_the_others() -> None:
    drawn = panels(set(), set())
    assert "mostly Q4_K" in drawn.layout.annotations[0].text
    heatmap = drawn.data[0]
    assert [list(line) for line in heatmap.text] == [["", "Q6_K"], ["", ""], ["", ""]]
    told = ["v", 1, "attn_q", "KLD of this part alone 0.200 nats", "attention: queries, Q6_K"]
    assert list(heatmap.customdata[0][1]) == told


def test_a_cell_that_was_not_measured_does_not_look_like_one_that_is_not_there() -> None:
    heatmap, hatch, line = panels(set(), set()).data
    assert [list(line) for line in heatmap.z] == [[0.1, 0.2], [0.3, None], [0.4, None]]
    assert heatmap.customdata[2][1][3] == "KLD of this part alone not measured"
    assert (list(hatch.y), list(hatch.base), list(hatch.x)) == (["ffn_down"], [0.5], [1])
    assert heatmap.customdata[1][1][3] == "this layer has no such part"
    assert (list(line.y)[:2], list(line.x)[:2]) == (["ffn_up"] * 2, [0.75, 1.25])


def test_what_is_not_there_is_told_apart_from_what_was_not_measured_in_words() -> None:
    """Only what occurs is explained."""
    (note,) = (a.text for a in panels(set(), set()).layout.annotations[1:])
    assert note == "▨ not measured     ── not applicable: the layer has no such part"
    places = frozenset(FOUND["v"])
    alone = Parts({**FOUND["v"], (1, "ffn_up"): 0.1}, TYPES, {}, places | {(1, "ffn_down")})
    drawn = heatmaps.panels(Shown(ATTRIBUTION, [row("a", variant_id="v")], {"v": alone}), (frozenset(),) * 2)
    assert [a["text"] for a in drawn.layout["annotations"][1:]] == ["▨ not measured"]


def test_roles_have_plain_names_and_groups() -> None:
    drawn = panels(set(), set())
    assert list(drawn.layout.yaxis.ticktext) == [
        "attention queries (attn_q)",
        "feed-forward up (ffn_up)",
        "feed-forward down (ffn_down)",
    ]
    (line,) = (shape for shape in drawn.layout.shapes if shape.type == "line")
    assert line.y0 == line.y1 == 0.5, "between attention and feed-forward"


def test_the_scale_spans_files_that_are_not_drawn() -> None:
    parts = {"v": Parts({(0, "attn_q"): 0.1})}
    shown = Shown(ATTRIBUTION, [row("a", variant_id="v")], parts, among=(0.1, 0.5))
    drawn = heatmaps.panels(shown, (frozenset(), frozenset()))
    assert drawn.layout["coloraxis"]["cmax"] == 0.5


def test_the_told_cell_is_outlined_and_labelled() -> None:
    parts = {"v": Parts(FOUND["v"], TYPES)}
    told = {"v": ((1, "attn_q"), "0.2 nats")}
    drawn = heatmaps.panels(
        Shown(ATTRIBUTION, [row("a", variant_id="v")], parts), (frozenset(), frozenset()), (), told
    ).checked()
    (outline,) = (shape for shape in drawn.layout.shapes if shape.type == "rect")
    assert (outline.x0, outline.x1, outline.y0, outline.y1) == (0.5, 1.5, -0.5, 0.5)
    (label,) = (note for note in drawn.layout.annotations if note.showarrow)
    assert (label.text, label.x, label.y) == ("<b>0.2 nats</b>", 1, 0)


def test_a_cell_of_experts_names_the_worst() -> None:
    told = panels(set(), set()).data[0].customdata[1][0][3]
    assert told.endswith("all 3 experts together<br>weight errors: mean 0.200, worst 0.300 (expert 2)")


@pytest.mark.parametrize(
    ("layers", "roles", "frames"),
    [(set(), set(), 0), ({0}, set(), 1), (set(), {"ffn_up"}, 1), ({0, 1}, {"attn_q"}, 2)],
)
def test_filtered_cells_are_framed_not_hidden(layers: set[int], roles: set[str], frames: int) -> None:
    drawn = panels(layers, roles)
    assert len([shape for shape in drawn.layout.shapes if shape.type == "rect"]) == frames
    assert len(drawn.data[0].z) == 3


def test_wide_spans_get_a_logarithmic_scale() -> None:
    assert Scale.of([0.001, 0.2], ATTRIBUTION).logarithmic
    assert not Scale.of([0.1, 0.2], ATTRIBUTION).logarithmic
    assert Scale.of([0.0], ATTRIBUTION).place(0.0) == 0.0


@pytest.fixture(scope="module")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two models with a baseline each: the second has half as many variants."""
    folder = tmp_path_factory.mktemp("two_models")
    make_results(folder, methods=("bartowski", "main"), quants=("Q2_K", "Q4_0", "Q8_0"), windows=4)
    frame = pl.read_parquet(folder / "variants.parquet")
    other = frame.filter(pl.col("is_baseline") | (pl.col("method") == "main")).with_columns(
        pl.lit("Other-1B").alias("model"), pl.format("other-{}", "variant_id").alias("variant_id")
    )
    for name in other["variant_id"]:
        tokens = (folder / "tokens" / f"{name.removeprefix('other-')}.parquet").read_bytes()
        (folder / "tokens" / f"{name}.parquet").write_bytes(tokens)
    pl.concat([frame, other]).write_parquet(folder / "variants.parquet")
    return Results.open(folder)


@pytest.mark.parametrize("view", registry(), ids=lambda view: view.id)
def test_several_models_are_told_apart(view: Any, two_models: Results) -> None:
    figure = view.figure(Scope(two_models, Selection()))
    legend = [trace.name for trace in figure.data if trace.showlegend is not False and trace.name]
    assert len(legend) == len(set(legend)), "one entry per method"
    if view.id in {"ppl-bits", "degradation", "speed", "size"}:
        assert {"Synthetic-135M", "Other-1B"} <= set(legend)
    insights = view.insights(Scope(two_models, Selection()))
    assert any("Synthetic-135M" in insight.text for insight in insights if insight.kind == "caution")
    view.claims(Scope(two_models, Selection()))
