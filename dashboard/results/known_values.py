"""Check the values in an address against a results folder."""

from __future__ import annotations

from dataclasses import replace

from dashboard.results.results import Results
from dashboard.results.selection import FIELDS, Selection

#: Keys of an address, and the column of the variants frame that holds their values.
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
#: The same for the layer frame.
_OF_LAYERS = {"layer": "layer", "role": "role"}


def values(results: Results, key: str) -> frozenset[str] | None:
    """Return the values that a key of an address can have in a folder; None if they do not depend on the folder."""
    if key in _COLUMNS:
        return frozenset(results.measured[_COLUMNS[key]].to_list())
    if key == "engine":
        return frozenset(results.engines)
    if key == "domain":
        return frozenset(results.domains)
    if key in _OF_LAYERS:
        layers = results.layers()
        return (
            frozenset() if layers is None else frozenset(map(str, layers[_OF_LAYERS[key]].unique().to_list()))
        )
    return None


def known(selection: Selection, results: Results) -> Selection:
    """Drop the values that a folder does not have, as the link may come from another one, and the default engine."""
    kept: dict[str, object] = {}
    for key, name in FIELDS.items():
        given = getattr(selection, name)
        allowed = values(results, key) if given else None
        if allowed is not None:
            kept[name] = frozenset(value for value in given if str(value) in allowed)
    options = []
    for key, value in selection.options:
        allowed = values(results, key)
        if allowed is None or value in allowed:
            options.append((key, value))
    usual = replace(selection, options=tuple(options), engine="", **kept)  # type: ignore[arg-type]  # of the fields' own types
    chosen = selection.engine in results.engines and selection.engine != results.engine(usual)
    return replace(usual, engine=selection.engine) if chosen else usual
