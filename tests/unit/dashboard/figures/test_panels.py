"""Panels lie where plotly.py's subplots lie, and their axes are shared in the same way."""

import json
from typing import Any

import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from dashboard.figures.panels import Panels

GAPS = [(0.02, 0.19), (0.025, 0.14), (0.14, 0.14), (0.0, 0.0)]


def plain(figure: go.Figure | Panels) -> dict[str, Any]:
    """Traces and layout without plotly.py's template, numbers to twelve places."""
    text = json.dumps(figure.to_plotly_json())
    found: dict[str, Any] = json.loads(text, parse_float=lambda number: round(float(number), 12))
    found["layout"].pop("template", None)
    return found


@pytest.mark.parametrize("share_rows", [True, False])
@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("count", [1, 2, 3, 6, 9])
def test_panels_are_plotlys_subplots(count: int, gap: tuple[float, float], *, share_rows: bool) -> None:
    columns = min(3, count)
    rows = -(-count // columns)
    titles = [f"<b>{index}</b>" for index in range(count)]
    drawn = Panels(count, 3, gap=gap, share_rows=share_rows)
    drawn.add_titles(titles, size=11)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_xaxes=True,
        shared_yaxes=share_rows,
        horizontal_spacing=gap[0],
        vertical_spacing=gap[1],
        subplot_titles=titles,
    )
    figure.update_annotations(font={"size": 11})
    assert plain(drawn) == plain(figure)

    middle = (columns - 1) // 2
    for index in range(count):
        drawn.add_bar(x=[index], y=[1], **drawn.place(index))
        figure.add_bar(x=[index], y=[1], row=index // columns + 1, col=index % columns + 1)
    drawn.update_xaxes(ticks="", title_font_size=12)
    figure.update_xaxes(ticks="", title_font_size=12)
    drawn.update_yaxes(range=[0, 1])
    figure.update_yaxes(range=[0, 1])
    drawn.update_yaxes(cells=[count - 1], range=[0, 2])
    figure.update_yaxes(range=[0, 2], row=rows, col=(count - 1) % columns + 1)
    drawn.update_yaxes(cells=drawn.first_column, title_text="up")
    figure.update_yaxes(title_text="up", col=1)
    drawn.update_xaxes(cells=drawn.lowest, title_text="across")
    figure.update_xaxes(title_text="across", row=rows)
    drawn.update_xaxes(cells=[drawn.lowest[middle]], title_text="middle")
    figure.update_xaxes(title_text="middle", row=rows, col=middle + 1)
    assert plain(drawn) == plain(figure)
    assert plain(drawn.checked()) == plain(drawn)


def test_the_lowest_and_leftmost_panels_have_the_labels() -> None:
    drawn = Panels(5, 3, gap=(0.1, 0.2))
    labelled = [name for name in drawn.layout if "showticklabels" not in drawn.layout[name]]
    assert [name for name in labelled if name.startswith("x")] == ["xaxis3", "xaxis4", "xaxis5"]
    assert [name for name in labelled if name.startswith("y")] == ["yaxis", "yaxis4"]
    assert drawn.layout["xaxis2"]["matches"] == "x5"
    assert drawn.layout["yaxis5"]["matches"] == "y4"
    assert "xaxis6" not in drawn.layout, "an axis without a panel would not be drawn, nor its labels"


@pytest.mark.parametrize(("count", "lowest"), [(1, [0]), (3, [0, 1, 2]), (4, [3, 1, 2]), (7, [6, 4, 5])])
def test_the_lowest_panel_of_a_column(count: int, lowest: list[int]) -> None:
    assert Panels(count, 3, gap=(0.1, 0.1)).lowest == lowest


def test_axes_of_one_panel_are_set_apart_from_the_others() -> None:
    drawn = Panels(2, 2, gap=(0.1, 0.0), share_rows=False)
    drawn.update_yaxes(tickfont={"size": 11})
    drawn.update_yaxes(cells=[1], tickfont={"size": 9})
    sizes = [drawn.layout[name]["tickfont"]["size"] for name in ("yaxis", "yaxis2")]
    assert sizes == [11, 9]


def test_panels_lie_below_each_other_in_a_narrow_window() -> None:
    """Five panels of 100 px with gaps of 50 px: 700 px, without the margins."""
    drawn = Panels(5, 3, gap=(0.1, 0.2))
    drawn.add_titles(["a", "b", "c", "d", "e"], size=11)
    drawn.update_xaxes(cells=drawn.lowest, title_text="layer")
    drawn.stack(100, (40, 60), gap=50)
    narrow = drawn.layout["meta"]["narrow"]
    axes = [f"yaxis{number}" for number in ("", 2, 3, 4, 5)]
    tops = [1 - 150 * index / 700 for index in range(5)]
    assert [narrow[axis]["domain"] for axis in axes] == [pytest.approx([top - 1 / 7, top]) for top in tops]
    assert all(narrow[axis]["showticklabels"] for axis in axes)
    assert [narrow["annotations"][str(index)]["y"] for index in range(5)] == pytest.approx(tops)
    assert [narrow[f"x{axis[1:]}"]["title"]["text"] for axis in axes] == ["", "", "", "", "layer"]
    assert narrow["height"] == 800
    assert drawn.layout["yaxis5"]["domain"] != narrow["yaxis5"]["domain"], (
        "a wide window has them in two rows"
    )
    drawn.checked()
