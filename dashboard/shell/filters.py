"""The filter panel: its controls, their choices for a results folder, their values for a selection."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import dash_bootstrap_components as dbc
import polars as pl
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.pages.parts import swatch
from dashboard.results.engines import in_words
from dashboard.results.known_values import known
from dashboard.results.results import Results
from dashboard.results.selection import FIELDS, Selection
from dashboard.style import formats
from dashboard.style.theme import CONFIDENCE
from evaluator.metrics.breakdowns import CONFIDENCE_EDGES
from evaluator.results.files import TOKENS

BITS_STEP = 0.05
#: Checklists by URL key, in the panel's order.
CHECKLISTS = {
    "model": "Model",
    "device": "Device",
    "method": "Method",
    "quant": "Quant type",
    "domain": "Text domain",
    "bin": "Baseline's confidence",
}
#: Keys of all lists of choices.
LISTS = (*CHECKLISTS, "engine")
_HINTS = {
    "model": "One model is shown, the first if none is ticked; tick several to draw them together.",
    "domain": "Compute all numbers over these texts only.",
    "bin": "Compute all numbers over tokens with this top probability of the baseline only.",
}
Options = list[dict[str, Any]]


def panel() -> Component:
    """Return the panel with empty lists; `offers` fills them for a folder."""
    lists = [_checklist(key, name) for key, name in CHECKLISTS.items()]
    head = html.Div(
        [
            html.H2("Filters"),
            html.Button("Reset", id="reset", type="button", className="tool", **{"data-reset": "1"}),
        ],
        className="panel-head",
    )
    body = [
        head,
        *lists[:4],
        _bits_slider(),
        *lists[4:],
        _engines(),
        html.P("With nothing ticked in a list, all count.", className="hint"),
    ]
    return html.Aside(body, id="filters", className="panel filters", **{"aria-label": "Filters"})


def _checklist(key: str, name: str) -> Component:
    chips = key in {"quant", "domain", "bin"}
    checklist = dbc.Checklist(
        id=f"filter-{key}", options=[], value=[], className="chips" if chips else "choices"
    )
    return html.Fieldset([html.Legend(name, title=_HINTS.get(key)), checklist], id=f"group-{key}")


def _engines() -> Component:
    title = "Show times, memory and the loss that running adds as measured in this engine."
    choices = dbc.RadioItems(id="filter-engine", options=[], value=None, className="choices")
    return html.Fieldset([html.Legend("Engine", title=title), choices], id="group-engine")


def _bits_slider() -> Component:
    slider = dcc.RangeSlider(
        id="filter-bits",
        min=0,
        max=16,
        step=BITS_STEP,
        value=[0, 16],
        marks=None,
        allowCross=False,
        allow_direct_input=False,
        updatemode="mouseup",
    )
    legend = html.Legend(["Bits per weight", html.Output(id="bits-text", className="bits-text")])
    return html.Fieldset([legend, slider], id="group-bits")


def bits_bounds(results: Results) -> tuple[float, float]:
    """Return the ends of the bits slider: the measured range, rounded outwards to its step."""
    bits = results.measured["bits_per_weight"]
    if bits.is_empty():
        return 0.0, 16.0
    low, high = float(bits.min()), float(bits.max())  # type: ignore[arg-type]  # a Float64 column's ends
    lower, upper = math.floor(low / BITS_STEP) * BITS_STEP, math.ceil(high / BITS_STEP) * BITS_STEP
    return round(lower, 4), round(max(upper, lower + BITS_STEP), 4)


def offers(results: Results, whole: Results) -> dict[str, Options]:
    """Return the options of every list for a part of a results folder; the models are those of the whole."""
    measured = results.measured
    by_bits = (
        measured.group_by("quant").agg(pl.col("bits_per_weight").mean()).sort("bits_per_weight", "quant")
    )
    edges = pairwise(CONFIDENCE_EDGES)
    return {
        "model": [_option(name) for name in whole.models],
        "device": [_device_option(name) for name in sorted(set(measured["device"].to_list()))],
        "method": [_method_option(results, name) for name in results.methods],
        "quant": [_option(name) for name in by_bits["quant"].to_list()],
        "domain": [_option(name) for name in results.domains],
        "bin": [
            {"label": _bin_label(index, low, high), "value": str(index)}
            for index, (low, high) in enumerate(edges)
        ],
        "engine": [{"label": in_words(name), "value": name} for name in results.engines],
    }


def _option(name: str) -> dict[str, Any]:
    return {"label": name, "value": name}


def _device_option(name: str) -> dict[str, Any]:
    return {"label": formats.device_name(name), "value": name}


def _method_option(results: Results, method: str) -> dict[str, Any]:
    count = results.measured.filter(results.measured["method"] == method).height
    label = html.Span(
        [swatch(results.styles[method]), f" {method} ", html.Small(str(count))], className="method"
    )
    return {"label": label, "value": method}


def _bin_label(index: int, low: float, high: float) -> Component:
    dot = html.Span(className="dot", style={"background": CONFIDENCE[index]}, **{"aria-hidden": "true"})
    return html.Span([dot, f"{low:g}–{high:g}"])


def visible(results: Results, whole: Results) -> dict[str, bool]:
    """Return which groups of the panel are shown; filters of tokens need token frames, of models several."""
    has_tokens = (results.folder / TOKENS).is_dir()
    return {
        "model": len(whole.models) > 1,
        "device": results.measured["device"].n_unique() > 1,
        "method": True,
        "quant": True,
        "domain": has_tokens and len(results.domains) > 1,
        "bin": has_tokens,
        "engine": len(results.engines) > 1,
    }


def values(selection: Selection, results: Results) -> dict[str, Any]:
    """Return the controls' values for a selection, without names that the folder lacks."""
    selection = known(selection, results)
    shown: dict[str, Any] = {key: sorted(map(str, getattr(selection, FIELDS[key]))) for key in CHECKLISTS}
    shown["engine"] = results.engine(selection)
    bounds = bits_bounds(results)
    low, high = selection.bits or bounds
    shown["bits"] = [min(max(low, bounds[0]), bounds[1]), max(min(high, bounds[1]), bounds[0])]
    return shown


def nothing() -> dict[str, Any]:
    """Return the parts of an answer that empty the panel when there are no results."""
    hidden = {f"hidden-{key}": True for key in LISTS}
    empty: dict[str, Any] = {f"{part}-{key}": [] for part in ("options", "value") for key in CHECKLISTS}
    return hidden | empty | {"options-engine": [], "value-engine": None, "bits-text": ""}


def bits_text(bits: tuple[float, float] | list[float]) -> str:
    """Return the slider's range as text."""
    return f"{bits[0]:.2f}–{bits[1]:.2f}"


def chips(selection: Selection, results: Results) -> list[tuple[str, str, Selection]]:
    """Return the active filters: name, values as text, and the selection without it."""
    active = []
    for field, name, text in (
        ("models", "model", _names(selection.models) if len(results.models) > 1 else ""),
        ("devices", "device", _names(set(map(formats.device_name, selection.devices)))),
        ("methods", "method", _names(selection.methods)),
        ("quants", "type", _names(selection.quants)),
        ("bits", "bits", bits_text(selection.bits) if selection.bits else ""),
        ("domains", "text", _names(selection.domains)),
        ("bins", "confidence", _bin_names(selection.bins)),
        ("layers", "layer", _names({"emb" if layer < 0 else str(layer) for layer in selection.layers})),
        ("roles", "role", _names(selection.roles)),
        ("only", "only", _labels(selection.only, results)),
        ("engine", "engine", in_words(selection.engine)),
    ):
        empty = getattr(Selection(), field)
        if text:
            active.append((name, text, replace(selection, **{field: empty})))
    return active


def _names(names: frozenset[str] | set[str]) -> str:
    return formats.listing(sorted(names)) if names else ""


def _bin_names(bins: frozenset[int]) -> str:
    edges = [f"{CONFIDENCE_EDGES[index]:g}–{CONFIDENCE_EDGES[index + 1]:g}" for index in sorted(bins)]
    return formats.listing(edges) if edges else ""


def _labels(ids: frozenset[str], results: Results) -> str:
    labels = sorted(results.labels.get(name, name) for name in ids)
    return formats.listing(labels, 3) if labels else ""
