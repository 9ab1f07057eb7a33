"""What a folder knows of an address: values that it does not hold are let go, or pointed out."""

from __future__ import annotations

from dataclasses import replace

from dashboard.results.results import Results
from dashboard.results.selection import FIELDS, Selection

#: Keys of an address whose values are names in a column of the variants frame.
_COLUMNS = {
    "model": "model",
    "device": "device",
    "method": "method",
    "quant": "quant",
    "only": "variant_id",
    "pick": "variant_id",
    "a": "variant_id",
    "b": "variant_id",
}
#: And of the layer frame.
_OF_LAYERS = {"layer": "layer", "role": "role"}


def values(results: Results, key: str) -> frozenset[str] | None:
    """Return what a key of an address can be in a folder, as it is written there; None where no folder decides it."""
    if key in _COLUMNS:
        return frozenset(results.measured[_COLUMNS[key]].to_list())
    if key == "domain":
        return frozenset(results.domains)
    if key in _OF_LAYERS:
        layers = results.layers()
        return (
            frozenset() if layers is None else frozenset(map(str, layers[_OF_LAYERS[key]].unique().to_list()))
        )
    return None


def known(selection: Selection, results: Results) -> Selection:
    """Let go of all values that a folder does not hold: a link may come from another one."""
    kept: dict[str, object] = {}
    for key, name in FIELDS.items():
        given = getattr(selection, name)
        there = values(results, key) if given else None
        if there is not None:
            kept[name] = frozenset(value for value in given if str(value) in there)
    options = []
    for key, value in selection.options:
        there = values(results, key)
        if there is None or value in there:
            options.append((key, value))
    return replace(selection, options=tuple(options), **kept)  # type: ignore[arg-type]  # sets of the fields' own types
