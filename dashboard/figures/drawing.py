"""Build figures as the plain data that plotly.js takes.

plotly.py validates every attribute when it is set, which takes longer than the rest of a page. A drawing skips that;
`checked` returns a validated plotly.py figure, for exports and tests.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

#: How plotly.js names the types of packed arrays.
_PACKED = {np.dtype(np.float32): "f4", np.dtype(np.float64): "f8"}


class Drawing:
    """Traces and layout; layout settings may be nested or written with underscores, as in plotly.py."""

    def __init__(self) -> None:
        """Start empty."""
        self.data: list[dict[str, Any]] = []
        self.layout: dict[str, Any] = {}

    def add_scatter(self, **settings: Any) -> None:
        """Add a trace of points or lines."""
        self.data.append({"type": "scatter"} | settings)

    def add_scatterpolar(self, **settings: Any) -> None:
        """Add a trace in polar coordinates."""
        self.data.append({"type": "scatterpolar"} | settings)

    def add_heatmap(self, **settings: Any) -> None:
        """Add a trace of coloured cells."""
        self.data.append({"type": "heatmap"} | settings)

    def add_bar(self, **settings: Any) -> None:
        """Add a trace of bars."""
        self.data.append({"type": "bar"} | settings)

    def add_shape(self, **settings: Any) -> None:
        """Add a shape."""
        self.layout.setdefault("shapes", []).append(settings)

    def add_band(self, low: float, high: float, **settings: Any) -> None:
        """Add a rectangle across the whole width between two heights."""
        across = {"xref": "x domain", "x0": 0, "x1": 1, "y0": low, "y1": high}
        self.add_shape(type="rect", **across, **settings)

    def add_annotation(self, narrow: Any = None, **settings: Any) -> None:
        """Add a text; `narrow` is what is different in a narrow window (see `update_narrow`)."""
        texts = self.layout.setdefault("annotations", [])
        texts.append(settings)
        if narrow is not None:
            self.update_narrow(annotations={str(len(texts) - 1): dict(narrow)})

    def update_xaxes(self, **settings: Any) -> None:
        """Set attributes of the horizontal axis."""
        self.update_layout(xaxis=settings)

    def update_yaxes(self, **settings: Any) -> None:
        """Set attributes of the vertical axis."""
        self.update_layout(yaxis=settings)

    def update_layout(self, **settings: Any) -> None:
        """Set attributes of the layout; nested attributes are merged."""
        _merge(self.layout, settings)

    def update_narrow(self, **settings: Any) -> None:
        """Set what of the layout is different in a narrow window, which assets/narrow.js applies.

        Parts of a list, such as annotations, go by their index. `height` is the least height of the figure in pixels.
        """
        self.update_layout(meta={"narrow": settings})

    def to_plotly_json(self) -> dict[str, Any]:
        """Return traces and layout; arrays of floats are packed."""
        traces = [{name: _packed(value) for name, value in trace.items()} for trace in self.data]
        return {"data": traces, "layout": self.layout}

    def checked(self) -> go.Figure:
        """Return the drawing as a validated plotly.py figure.

        Raises:
            ValueError: an attribute is unknown or does not take its value.

        """
        return go.Figure(data=self.data, layout=self.layout)


def _merge(target: dict[str, Any], settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        name, _, rest = key.partition("_")
        inner = {rest: value} if rest else value
        if isinstance(inner, Mapping):
            _merge(target.setdefault(name, {}), inner)
        else:
            target[name] = inner


def _packed(value: object) -> object:
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype not in _PACKED or value.ndim != 1:
        return value.tolist()
    return {"dtype": _PACKED[value.dtype], "bdata": base64.b64encode(value.tobytes()).decode("ascii")}
