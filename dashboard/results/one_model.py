"""Show one model at a time of a results folder with several."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from dashboard.results.known_values import known
from dashboard.results.results import Results
from dashboard.results.selection import Selection


def one_model(selection: Selection, whole: Results) -> tuple[Results, Selection]:
    """Return the part of a folder that is shown, and the selection without values that it does not have.

    Of a folder with several models one is shown, with its own manifest: the selected one, else that of the named
    or compared variants, else the first that was measured. With several selected, they are shown together.
    """
    selection = known(selection, whole)
    if len(whole.models) < 2:
        return whole, selection
    compared = {value for key, value in selection.options if key in {"a", "b"}}
    ids = selection.only | selection.picked | compared
    named = whole.measured.filter(pl.col("variant_id").is_in(sorted(ids)))
    models = selection.models or frozenset(named["model"].to_list()) or {whole.models[0]}
    selection = replace(selection, models=frozenset(models))
    if len(models) > 1:
        return whole, selection
    part = whole.of_model(*models)
    return part, known(selection, part)
