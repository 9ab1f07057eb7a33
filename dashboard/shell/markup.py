"""Components of Dash as HTML text: what a page shows before any script has run.

It is for reading only. References between elements (ids) are left out, because the components that take over bring
their own; what needs a script to exist at all, such as the table of Explore, leaves its place empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from html import escape
from typing import Any

from dash.development.base_component import Component
from markupsafe import Markup
from plotly.utils import PlotlyJSONEncoder

_ELEMENTS, _CORE, _BOOTSTRAP = "dash_html_components", "dash_core_components", "dash_bootstrap_components"
_VOID = frozenset({"br", "hr", "img", "input"})
_LEFT_OUT = re.compile(
    r"id|key|children|htmlFor|n_clicks.*|disable_n_clicks|aria-(controls|describedby|labelledby)"
)


def markup(content: object) -> Markup:
    """Write a component, a text, a number, or a list of such; None is nothing."""
    return Markup(_written(content))  # noqa: S704  # every text and attribute in it was escaped


def script_data(value: object) -> Markup:
    """Write JSON for a script, figures included, that cannot end the script element it stands in."""
    text = json.dumps(value, cls=PlotlyJSONEncoder, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))  # noqa: S704  # no tag survives


def _written(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, list | tuple):
        return "".join(map(_written, content))
    if not isinstance(content, Component):
        return escape(str(content))
    told = content.to_plotly_json()
    if told["namespace"] == _ELEMENTS:
        return _element(told["type"].lower(), told["props"], told["props"].get("children"))
    writer = _WRITERS.get((told["namespace"], told["type"]))
    return writer(told["props"]) if writer is not None else ""


def _element(name: str, properties: Mapping[str, Any], children: object = None) -> str:
    """Write an element with its properties as React names them."""
    start = f"<{name}{''.join(_attributes(properties))}>"
    return start if name in _VOID else f"{start}{_written(children)}</{name}>"


def _attributes(properties: Mapping[str, Any]) -> Iterator[str]:
    for name, value in properties.items():
        written = _attribute(name)
        if not written or value is None or value is False:
            continue
        text = _style(value) if name == "style" else str(value)
        yield f" {written}" if value is True else f' {written}="{escape(text)}"'


@cache
def _attribute(name: str) -> str:
    """Name the attribute of a property; the empty text for one that is left out."""
    if _LEFT_OUT.fullmatch(name):
        return ""
    return "class" if name == "className" else name.lower()


def _style(settings: Mapping[str, object]) -> str:
    return "; ".join(f"{_with_dashes(name)}: {setting}" for name, setting in settings.items())


@cache
def _with_dashes(name: str) -> str:
    return re.sub("[A-Z]", lambda capital: "-" + capital[0].lower(), name)


def _checklist(properties: Mapping[str, Any]) -> str:
    ticked = set(properties.get("value") or ())
    lines = []
    for option in properties.get("options") or ():
        box = {"className": "form-check-input", "type": "checkbox", "checked": option["value"] in ticked}
        label = _element("label", {"className": "form-check-label"}, option["label"])
        lines.append(f'<div class="form-check">{_element("input", box)}{label}</div>')
    return f"<div{''.join(_attributes({'className': properties.get('className')}))}>{''.join(lines)}</div>"


def _select(properties: Mapping[str, Any]) -> str:
    """Write a choice with the option that is chosen."""
    chosen = next((o["label"] for o in properties["options"] if o["value"] == properties.get("value")), "")
    look = f"form-select form-select-{properties.get('size', '')}"
    return f'<select class="{look}"><option>{escape(str(chosen))}</option></select>'


def _input(properties: Mapping[str, Any]) -> str:
    """Write an entry of Bootstrap."""
    kept = {name: properties.get(name) for name in ("type", "value", "placeholder", "style")}
    return _element("input", kept | {"className": f"form-control form-control-{properties.get('size', '')}"})


def _entry(properties: Mapping[str, Any]) -> str:
    """Write an entry of Dash's core, which stands in a frame."""
    kept = {name: properties.get(name) for name in ("type", "value", "placeholder")}
    inside = _element("input", kept | {"className": "dash-input-element"})
    return f'<div class="dash-input-container dash-input {escape(properties["className"])}">{inside}</div>'


def _slider(_properties: Mapping[str, Any]) -> str:
    return '<div class="dash-slider-container"></div>'


_WRITERS: dict[tuple[str, str], Callable[[Mapping[str, Any]], str]] = {
    (_BOOTSTRAP, "Checklist"): _checklist,
    (_BOOTSTRAP, "Input"): _input,
    (_BOOTSTRAP, "Select"): _select,
    (_CORE, "Input"): _entry,
    (_CORE, "RangeSlider"): _slider,
}
