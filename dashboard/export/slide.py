"""A figure laid out for a slide: larger type, the finding as title and the caption below it."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from dashboard.export.exhibit import Exhibit
from dashboard.export.placing import over_caption
from dashboard.export.provenance import filters_in_words, texts_and_tokens
from dashboard.results.scope import Scope
from dashboard.shell.naming import file_stem, model_name
from dashboard.style.names import in_figure
from dashboard.style.theme import SURFACES, Surface, template

#: `slide` is a picture with title and caption; `body` is the drawing alone, for a page that has both as text.
Form = Literal["slide", "body"]
#: These or fonts of the same widths exist everywhere, so pictures look the same in every program.
FONT = '"Liberation Sans", Arial, Helvetica, sans-serif'
#: Pixels; the picture is drawn at this width and scaled to 1280, so type is 1.45 times as large as on the screen.
_WIDTH, _HEIGHT = 880, 495
#: Pixels: width of the drawing alone, which has a whole slide but its title, and least height of a row of labels.
_BODY_WIDTH, _LANE = 960, 12
NOMINAL_WIDTH = 1280
_SIDE = 24
_TITLE_PX, _CAPTION_PX = 19, 10
#: Width of a bold and a plain character over the type size, for a wide typeface, so that no line is cut off.
_BOLD, _PLAIN = 0.6, 0.56
_LINE = 1.3
_TOP, _GAP = 14, 10
#: Margin above a circle for the names and values of its upper axis.
_OVER_CIRCLE = 96
#: Words in captions about what only a picture shows.
_ONLY_DRAWN = re.compile(
    r"large points|ringed|shad(ed|ing)|grey band|hollow|open markers|dotted", re.IGNORECASE
)


@dataclass(frozen=True)
class Picture:
    """A figure with complete layout and template, and its size in pixels before scaling."""

    slug: str
    stem: str
    width: int
    height: int
    figure: dict[str, Any]

    @property
    def scale(self) -> float:
        """Scale at which the picture is `NOMINAL_WIDTH` pixels wide."""
        # Slightly more, because renderers truncate fractions of pixels and floats may fall short.
        return (NOMINAL_WIDTH + 0.01) / self.width


def picture(scope: Scope, shown: Exhibit, theme: str = "light", form: Form = "slide") -> Picture:
    """Lay an exhibit out in a theme, independently of the screen."""
    surface = SURFACES[theme]
    figure = shown.figure.to_plotly_json()
    width, height = (_WIDTH, _HEIGHT) if form == "slide" else _body_size(shown, figure["layout"])
    layout = {
        **figure["layout"],
        "template": _template(theme),
        "font": {**figure["layout"].get("font", {}), "family": FONT},
        "paper_bgcolor": surface.background,
        "plot_bgcolor": surface.background,
        "autosize": False,
        "width": width,
        "height": height,
    }
    if "polar" in layout:
        layout |= _legend_beside(layout)
    if shown.reason:
        layout["annotations"] = [_explanation(shown.reason)]
    if form == "slide":
        layout |= _frame(layout, shown.title, _caption(scope, shown), surface)
    stem = file_stem(scope, shown.slug)
    return Picture(shown.slug, stem, width, height, {"data": figure["data"], "layout": layout})


def caption_of(shown: Exhibit) -> list[str]:
    """Return what is said below a chart: what it shows of the picked variants, and what is drawn."""
    return [text for text in (shown.picked, shown.caption) if text]


def without_pictures(caption: list[str]) -> list[str]:
    """Remove the sentences about what a PowerPoint chart does not show: sizes, rings, shading, hollow markers."""
    kept = [
        " ".join(part for part in re.split(r"(?<=[.]) (?=[A-Z])", text) if not _ONLY_DRAWN.search(part))
        for text in caption
    ]
    return [text for text in kept if text]


def _body_size(shown: Exhibit, layout: dict[str, Any]) -> tuple[int, int]:
    """Return the size of the drawing alone in the shape of its box, larger if its rows of labels need it."""
    (_, _, across, tall), _ = over_caption(caption_of(shown))
    margin = layout.get("margin", {})
    rows = max((_rows(axis) for name, axis in layout.items() if name.startswith("yaxis")), default=0.0)
    least = _LANE * rows + margin.get("t", 0) + margin.get("b", 0)
    height = max(_BODY_WIDTH * tall / across, least)
    return round(height * across / tall), round(height)


def _rows(axis: dict[str, Any]) -> float:
    """Return how many rows of labels an axis would have if it were as long as the whole plot."""
    low, high = axis.get("domain") or (0, 1)
    named = axis.get("tickvals") if axis.get("tickvals") is not None else axis.get("categoryarray")
    return len(named) / (high - low) if named is not None and high > low else 0.0


def _legend_beside(layout: dict[str, Any]) -> dict[str, Any]:
    """Put the legend beside a circle, where a slide has room, instead of above it."""
    margin = layout.get("margin", {})
    across = {"xref": "container", "x": _SIDE / _BODY_WIDTH}
    legend = {"orientation": "v", **across, "yref": "paper", "y": 1, "yanchor": "top"}
    return {"legend": {**layout.get("legend", {}), **legend}, "margin": {**margin, "t": _OVER_CIRCLE}}


@cache
def _template(theme: str) -> dict[str, Any]:
    settings: dict[str, Any] = template(theme).to_plotly_json()
    return settings


def _caption(scope: Scope, shown: Exhibit) -> str:
    applied = shown.view.applied(scope)
    source = texts_and_tokens(applied)
    filtered = filters_in_words(applied)
    line = f"{model_name(applied)} · {source}" + (f" · filters: {filtered}" if filtered else "")
    return "\n".join([*caption_of(shown), line])


def _frame(layout: dict[str, Any], title: str, caption: str, surface: Surface) -> dict[str, Any]:
    """Return layout settings for title and caption, with the top margin enlarged to hold them.

    Both are positioned from the picture's edge, so margins that grow with tick labels do not move them.
    """
    above = _wrap(title, _TITLE_PX * _BOLD)
    below = [line for part in caption.splitlines() for line in _wrap(part, _CAPTION_PX * _PLAIN)]
    head = round(_TOP + _GAP + _LINE * (len(above) * _TITLE_PX + len(below) * _CAPTION_PX))
    margin = {**layout["template"]["layout"]["margin"], **layout.get("margin", {})}
    heading = {
        "text": f"<b>{_lines(above)}</b>",
        "x": _SIDE / _WIDTH,
        "xref": "container",
        "xanchor": "left",
        "y": 1,
        "yref": "container",
        "yanchor": "top",
        # Plotly anchors the last line; the padding makes room for those above it.
        "pad": {"t": _TOP + _LINE * _TITLE_PX * (len(above) - 1)},
        "font": {"size": _TITLE_PX, "color": surface.text},
        "subtitle": {"text": _lines(below), "font": {"size": _CAPTION_PX, "color": surface.muted}},
    }
    return {"title": heading, "margin": {**margin, "t": margin["t"] + head}}


def _explanation(reason: str) -> dict[str, Any]:
    return {
        "text": _lines(textwrap.wrap(reason, 80)),
        "x": 0.5,
        "y": 0.5,
        "xref": "paper",
        "yref": "paper",
        "showarrow": False,
        "font": {"size": 14},
    }


def _wrap(text: str, character_px: float) -> list[str]:
    return textwrap.wrap(text, int((_WIDTH - 2 * _SIDE) / character_px)) or [""]


def _lines(parts: list[str]) -> str:
    return "<br>".join(map(in_figure, parts))
