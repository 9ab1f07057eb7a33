"""Components of Dash as HTML text: what a page shows before any script has run.

It is for reading only. References between elements (ids) are left out, because the components that take over bring
their own; what needs a script to exist at all, such as the table of Explore, leaves its place empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dash.development.base_component import Component
from markupsafe import Markup, escape

_ELEMENTS = "dash_html_components"
_VOID = frozenset({"br", "hr", "img", "input"})
_LEFT_OUT = re.compile(
    r"id|key|children|htmlFor|n_clicks.*|disable_n_clicks|aria-(controls|describedby|labelledby)"
)


def markup(content: object) -> Markup:
    """Write a component, a text, a number, or a list of such; None is nothing."""
    if content is None:
        return Markup()
    if isinstance(content, list | tuple):
        return Markup().join(markup(item) for item in content)
    if not isinstance(content, Component):
        return escape(content)
    told = content.to_plotly_json()
    if told["namespace"] == _ELEMENTS:
        return _element(told["type"].lower(), told["props"], told["props"].get("children"))
    writer = _WRITERS.get((told["namespace"], told["type"]))
    return writer(told["props"]) if writer is not None else Markup()


def _element(name: str, properties: Mapping[str, Any], children: object = None) -> Markup:
    """Write an element with its properties as React names them."""
    start = Markup("<{}{}>").format(name, Markup().join(_attributes(properties)))
    return start if name in _VOID else Markup("{}{}</{}>").format(start, markup(children), name)


def _attributes(properties: Mapping[str, Any]) -> Iterator[Markup]:
    for name, value in properties.items():
        if value is None or value is False or _LEFT_OUT.fullmatch(name):
            continue
        written = "class" if name == "className" else name.lower()
        if value is True:
            yield Markup(" {}").format(written)
        else:
            yield Markup(' {}="{}"').format(written, _style(value) if name == "style" else value)


def _style(settings: Mapping[str, object]) -> str:
    return "; ".join(f"{_with_dashes(name)}: {setting}" for name, setting in settings.items())


def _with_dashes(name: str) -> str:
    return re.sub("[A-Z]", lambda capital: "-" + capital[0].lower(), name)


def _checklist(properties: Mapping[str, Any]) -> Markup:
    ticked = set(properties.get("value") or ())
    lines = []
    for option in properties.get("options") or ():
        box = {"className": "form-check-input", "type": "checkbox", "checked": option["value"] in ticked}
        label = _element("label", {"className": "form-check-label"}, option["label"])
        lines.append(_element("div", {"className": "form-check"}, [_element("input", box), label]))
    return _element("div", {"className": properties.get("className")}, lines)


def _select(properties: Mapping[str, Any]) -> Markup:
    chosen = [option for option in properties["options"] if option["value"] == properties.get("value")]
    options = [_element("option", {}, option["label"]) for option in chosen]
    return _element("select", {"className": f"form-select form-select-{properties.get('size', '')}"}, options)


def _input(properties: Mapping[str, Any]) -> Markup:
    """Write an entry of Bootstrap."""
    kept = {name: properties.get(name) for name in ("type", "value", "placeholder", "style")}
    return _element("input", kept | {"className": f"form-control form-control-{properties.get('size', '')}"})


def _entry(properties: Mapping[str, Any]) -> Markup:
    """Write an entry of Dash's core, which stands in a frame."""
    kept = {name: properties.get(name) for name in ("type", "value", "placeholder")}
    inside = _element("input", kept | {"className": "dash-input-element"})
    return _element(
        "div", {"className": f"dash-input-container dash-input {properties['className']}"}, inside
    )


def _slider(_properties: Mapping[str, Any]) -> Markup:
    return _element("div", {"className": "dash-slider-container"})


_CORE, _BOOTSTRAP = "dash_core_components", "dash_bootstrap_components"
_WRITERS: dict[tuple[str, str], Callable[[Mapping[str, Any]], Markup]] = {
    (_BOOTSTRAP, "Checklist"): _checklist,
    (_BOOTSTRAP, "Input"): _input,
    (_BOOTSTRAP, "Select"): _select,
    (_CORE, "Input"): _entry,
    (_CORE, "RangeSlider"): _slider,
}
