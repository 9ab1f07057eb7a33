"""Which component and property of the shell each part of an answer fills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash.development.base_component import Component

from dashboard.shell import filters

LISTS = tuple(filters.CHECKLISTS)
_TEXTS = ("eyebrow", "title", "caption", "insights", "claims", "options", "body", "status", "chips")
_OF_FOLDER = ("bits-text", "source", "find-list")
#: Part of an answer → component id and property.
TARGETS: dict[str, tuple[str, str]] = {
    **{name: (name, "children") for name in (*_TEXTS, *_OF_FOLDER)},
    "stage": ("stage", "className"),
    "drawing": ("drawing", "data"),
    "address": ("address", "data"),
    "poll": ("poll", "disabled"),
    **{f"value-{key}": (f"filter-{key}", "value") for key in (*LISTS, "bits")},
    **{f"options-{key}": (f"filter-{key}", "options") for key in LISTS},
    **{f"hidden-{key}": (f"group-{key}", "hidden") for key in LISTS},
    **{f"bits-{end}": ("filter-bits", end) for end in ("min", "max")},
}


def fill(shell: Component, answer: Mapping[str, Any]) -> Component:
    """Put the parts of an answer in their places; the shell itself is changed, and returned."""
    by_id = {getattr(part, "id", None): part for part in shell._traverse()}
    for name, value in answer.items():
        identity, attribute = TARGETS[name]
        setattr(by_id[identity], attribute, value)
    return shell
