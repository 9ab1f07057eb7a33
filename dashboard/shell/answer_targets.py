"""Which component and property of the shell each part of an answer fills."""

from __future__ import annotations

from dashboard.shell.filters import LISTS

_TEXTS = (
    "eyebrow",
    "title",
    "picked",
    "unknown",
    "caption",
    "insights",
    "claims",
    "options",
    "body",
    "beside",
    "status",
    "chips",
)
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
