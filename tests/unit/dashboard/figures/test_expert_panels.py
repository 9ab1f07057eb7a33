"""The panels of experts: the worst on top of every layer, named and marked."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from dashboard.figures.experts import panels
from dashboard.insights.layer_measures import WEIGHT
from dashboard.insights.layers import Cell, Errors, Parts, Shown

ROLE = "ffn_down_exps"
FOUND: dict[Cell, Errors] = {
    (1, ROLE): [0.1, 0.3, 0.2],
    (3, ROLE): [0.4, None, 0.1],
    (1, "ffn_up_exps"): [9.0, 9.0, 9.0],
}


def drawn(experts: dict[Cell, Errors] = FOUND, layers: tuple[int, ...] = ()) -> go.Figure:
    shown = Shown(WEIGHT, [{"variant_id": "v", "label": "main Q4_0"}], {"v": Parts({}, {}, experts)})
    return panels(shown, ROLE, layers).checked()


def test_the_worst_expert_is_on_top_and_one_without_an_error_comes_last() -> None:
    heatmap = drawn().data[0]
    assert list(heatmap.x) == [1, 2, 3]
    assert [[line[column] for line in heatmap.text] for column in range(3)] == [
        [1, 2, 0],
        [None] * 3,
        [0, 2, 1],
    ], "layer 2 has no experts"
    assert [line[2] for line in heatmap.customdata] == [0.4, 0.1, None]
    assert [line[0] for line in heatmap.z] == pytest.approx([1.5, 1.0, 0.5]), "errors over their mean"
    assert [line[2] for line in heatmap.z] == [1.6, 0.4, None]
    assert heatmap.hoverongaps is False


def test_a_cell_carries_what_a_click_selects() -> None:
    assert drawn().data[0].meta == {"variant_id": "v", "role": ROLE}


def test_the_worst_of_all_is_marked_or_the_worst_of_the_framed_layer() -> None:
    assert list(drawn().data[1].x) == [3]
    assert "worst: 0 in layer 3" in drawn().layout.annotations[0].text
    framed = drawn(layers=(1,))
    assert list(framed.data[1].x) == [1]
    assert [(shape.x0, shape.x1) for shape in framed.layout.shapes] == [(0.5, 1.5)]
    assert "worst: 1 (0.300)" in framed.layout.annotations[0].text


def test_small_differences_stay_pale_and_large_ones_set_the_scale() -> None:
    axis = drawn({(1, ROLE): [1.0, 1.01]}).layout.coloraxis
    assert (axis.cmin, axis.cmax) == (0.9, 1.1)
    axis = drawn().layout.coloraxis
    assert (axis.cmin, axis.cmax) == pytest.approx((0.4, 1.6))


def test_experts_stored_exactly_and_experts_without_any_error_are_drawn() -> None:
    assert [line[0] for line in drawn({(1, ROLE): [0.0, 0.0]}).data[0].z] == [1.0, 1.0]
    nothing = drawn({(1, ROLE): [None, None]})
    assert "no finite error" in nothing.layout.annotations[0].text


@pytest.mark.parametrize(("experts", "written"), [(16, True), (128, False)])
def test_numbers_are_written_where_there_is_room(experts: int, written: bool) -> None:
    heatmap = drawn({(1, ROLE): [0.1] * experts}).data[0]
    assert bool(heatmap.texttemplate) == written
    assert len(heatmap.text) == experts, "the hover text names the expert in any case"
