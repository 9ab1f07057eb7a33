"""Define colours, symbols, fonts and Plotly templates; a method has the same colour and symbol everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

#: Least contrast of small text.
SMALL_TEXT = 4.5
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"


@dataclass(frozen=True)
class MethodStyle:
    """A method's look: `symbol` is Plotly's marker name, `glyph` the same shape as a character for lists."""

    color: str
    symbol: str
    glyph: str


@dataclass(frozen=True)
class Surface:
    """The colours of one theme's background, text and lines, and of values from low to high (`scale`)."""

    background: str
    text: str
    muted: str
    grid: str
    axis: str
    hover: str
    scale: tuple[str, ...]


def contrast(first: str, second: str) -> float:
    """Return the WCAG contrast of two `#rrggbb`, from 1 to 21; small text needs `SMALL_TEXT`."""
    darker, brighter = sorted(map(_luminance, (first, second)))
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    channels = (int(color[index : index + 2], 16) / 255 for index in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def text_on(color: str) -> str:
    """Return the text colour, near-black or white, with the higher contrast on a colour."""
    return max(("#0b0f14", "#ffffff"), key=lambda text: contrast(color, text))


def readable(color: str, surface: Surface) -> str:
    """Return a colour mixed with so much of the text's colour that small text in it can be read on a surface."""
    for step in range(101):
        pairs = ((int(part[at : at + 2], 16) for part in (color, surface.text)) for at in (1, 3, 5))
        mixed = "#" + "".join(f"{round(own + (text - own) * step / 100):02x}" for own, text in pairs)
        if contrast(mixed, surface.background) >= SMALL_TEXT:
            break
    return mixed


#: Okabe–Ito mid-tones: distinct for colour-blind readers, visible on white and on near-black.
_KNOWN = {
    "bartowski": MethodStyle("#0072b2", "circle", "●"),
    "unsloth": MethodStyle("#009570", "triangle-up", "▲"),
    "main": MethodStyle("#d55e00", "square", "■"),
}
_OTHERS = (
    MethodStyle("#b5629b", "diamond", "◆"),
    MethodStyle("#8a7500", "triangle-down", "▼"),
    MethodStyle("#2e8ba6", "pentagon", "⬟"),
    MethodStyle("#8f6bd1", "hexagon", "⬢"),
    MethodStyle("#a8604a", "star", "★"),
    MethodStyle("#5f8f2f", "cross", "✚"),
    MethodStyle("#c2476d", "x", "✖"),
)
BASELINE = MethodStyle("#7b8490", "line-ew", "╌")
#: Bins of the most probable token's probability, lowest first; at least 3:1 against both backgrounds.
CONFIDENCE = ("#b8862b", "#6f9455", "#3f9189", "#3a80b5", "#6a72d0")
#: Text and border of what is provisional, on both backgrounds.
PROVISIONAL = "#b86e00"
#: Outline of the cells that a filter keeps.
MARK = "#b5629b"
HIGHLIGHT = "rgba(128, 140, 160, 0.14)"
#: Cells of a heatmap without a value: hatching and lines, visible on both backgrounds.
GAP = "#7b8490"
#: Guide lines that are not data: fronts, equal efficiency.
QUIET = "rgba(128, 140, 160, 0.32)"

LIGHT = Surface(
    background="#ffffff",
    text="#1c2430",
    muted="#566072",
    grid="#e6e9ee",
    axis="#aeb6c2",
    hover="#ffffff",
    scale=("#4f9a80", "#2b8798", "#2f6ea6", "#45519f", "#4b2f82", "#2d0f45"),
)
DARK = Surface(
    background="#171c24",
    text="#e4e9f0",
    muted="#a2adbc",
    grid="#2a323e",
    axis="#566172",
    hover="#222a35",
    scale=("#6a5fc0", "#3f86c4", "#35a6ae", "#6cc38a", "#c2dc7a", "#fbf3b8"),
)
SURFACES = {"light": LIGHT, "dark": DARK}


def method_styles(methods: Iterable[str]) -> dict[str, MethodStyle]:
    """Assign a style to every method: three are fixed, the others are assigned in the order of their names."""
    names = sorted(set(methods))
    unknown = [name for name in names if name.lower() not in _KNOWN]
    styles = {name: _KNOWN[name.lower()] for name in names if name.lower() in _KNOWN}
    styles |= {name: _OTHERS[index % len(_OTHERS)] for index, name in enumerate(unknown)}
    return styles


def translucent(color: str, alpha: float) -> str:
    """Return `#rrggbb` with an opacity as `rgba(…)`."""
    red, green, blue = (int(color[index : index + 2], 16) for index in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def templates() -> dict[str, Any]:
    """Return the Plotly template of every theme as plain data, by name."""
    return {name: template(name).to_plotly_json() for name in SURFACES}


def template(name: str) -> go.layout.Template:
    """Build the Plotly template of a theme, `light` or `dark`; the page draws the background."""
    surface = SURFACES[name]
    axis: dict[str, Any] = {
        "gridcolor": surface.grid,
        "linecolor": surface.axis,
        "tickcolor": surface.axis,
        "zerolinecolor": surface.axis,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "showline": True,
        "automargin": True,
        "tickfont": {"color": surface.muted, "size": 11},
        "title": {"font": {"color": surface.text, "size": 12}, "standoff": 8},
    }
    polar = {"gridcolor": surface.grid, "linecolor": surface.axis, "tickfont": {"color": surface.muted}}
    scale = [[i / (len(surface.scale) - 1), color] for i, color in enumerate(surface.scale)]
    edge = {"color": surface.background, "width": 0.5}
    return go.layout.Template(
        # Bars are apart by the background's colour, and their error bars are seen on and beside them.
        data={"bar": [{"marker": {"line": edge}, "error_x": {"color": surface.text}}]},
        layout={
            "font": {"family": FONT, "size": 12, "color": surface.text},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": [style.color for style in (*_KNOWN.values(), *_OTHERS)],
            "xaxis": axis,
            "yaxis": axis,
            "coloraxis": {
                "colorscale": scale,
                "colorbar": {"outlinewidth": 0, "thickness": 12, "ticklen": 3},
            },
            "polar": {"bgcolor": "rgba(0,0,0,0)", "radialaxis": polar, "angularaxis": polar},
            "hoverlabel": {
                "bgcolor": surface.hover,
                "bordercolor": surface.axis,
                "font": {"family": FONT, "color": surface.text, "size": 12},
                "align": "left",
            },
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.01,
                "yanchor": "bottom",
                "font": {"size": 12},
                "bgcolor": "rgba(0,0,0,0)",
            },
            # Fits a one-line legend and the usual ticks: Plotly draws a plot twice if a margin has to grow.
            "margin": {"l": 70, "r": 20, "t": 45, "b": 51},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": surface.axis, "activecolor": surface.text},
            "annotationdefaults": {"font": {"color": surface.muted, "size": 11}},
            "annotations": [_label(style.color, surface) for style in (*_KNOWN.values(), *_OTHERS)],
        },
    )


def _label(color: str, surface: Surface) -> dict[str, Any]:
    """Return the look of labels in a method's colour, which annotations ask for by `templateitemname`."""
    return {"name": color, "visible": False, "font": {"color": readable(color, surface), "size": 11}}
