"""A drawing is the figure that plotly.py would have made of the same calls."""

import base64

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.figures.drawing import Drawing


def calls(drawn: Drawing | go.Figure) -> None:
    drawn.add_scatter(x=[1, 2], y=[3.0, None], name="a", marker={"size": 4}, error_y={"array": [1, 2]})
    drawn.add_scatterpolar(r=[1, 2], theta=["u", "v"])
    drawn.add_heatmap(z=[[1, None], [2.5, 3]], x=[0, 1], y=["a", "b"], coloraxis="coloraxis")
    drawn.add_bar(x=[1, 2], y=["a", "b"], orientation="h", marker={"color": "red"})
    drawn.add_shape(type="line", x0=0, x1=1, y0=2, y1=2, line={"dash": "dash"})
    drawn.add_annotation(text="note", x=0.5, showarrow=False)
    drawn.update_xaxes(title_text="across", range=[0, 3])
    drawn.update_xaxes(tickvals=[1, 2], title_font_size=11)
    drawn.update_yaxes(title={"text": "up"}, type="log")
    drawn.update_layout(showlegend=True, legend={"y": 1.09}, margin={"t": 70})
    drawn.update_layout(legend_x=0.5, margin={"r": 20})


def test_the_same_calls_make_the_same_figure() -> None:
    drawn, figure = Drawing(), go.Figure()
    calls(drawn)
    calls(figure)
    expected = figure.to_plotly_json()
    expected["layout"].pop("template")
    assert drawn.to_plotly_json() == expected
    assert drawn.checked() == figure


def test_a_band_lies_across_the_whole_width() -> None:
    drawn, figure = Drawing(), go.Figure()
    drawn.add_band(-1, 2, fillcolor="red", line={"width": 0})
    figure.add_hrect(y0=-1, y1=2, fillcolor="red", line_width=0)
    found, expected = drawn.layout["shapes"][0], figure.layout.shapes[0].to_plotly_json()
    expected.pop("yref", None)  # y is the default
    assert found == expected


def test_floats_are_packed_as_plotly_unpacks_them() -> None:
    drawn = Drawing()
    values = np.array([1.5, -2.0], np.float32)
    drawn.add_scatter(x=values, y=np.array([3, 4]), customdata=np.array([[1.0], [2.0]]))
    trace = drawn.to_plotly_json()["data"][0]
    assert trace["x"]["dtype"] == "f4"
    assert np.frombuffer(base64.b64decode(trace["x"]["bdata"]), np.float32).tolist() == [1.5, -2.0]
    assert trace["y"] == [3, 4]
    assert trace["customdata"] == [[1.0], [2.0]]


def test_what_plotly_does_not_know_is_found_when_checked() -> None:
    drawn = Drawing()
    drawn.add_scatter(x=[1], y=[1], colour="red")
    with pytest.raises(ValueError, match="colour"):
        drawn.checked()
