"""Rows of the variants frame: grouping, naming, and reading a value with its error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from dashboard.results.failures import is_useless
from dashboard.results.statistics import Estimate, pareto
from dashboard.style import formats

Row = dict[str, Any]


def type_name(row: Row) -> str:
    """Return a variant's type, with what tells it from another file of its method and type."""
    return f"{row['quant']} {row.get('twin') or ''}".rstrip()


def complete(rows: Sequence[Row], *columns: str) -> list[Row]:
    """Return the rows in which every named column is measured and finite, without files that are useless."""
    return [
        r
        for r in rows
        if not is_useless(r) and all(r[c] is not None and math.isfinite(r[c]) for c in columns)
    ]


def by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows per method, methods by name, rows by bits per weight.

    Where the rows are of several models or devices, each has its own entry, named `method · model`.
    """
    apart = places_apart(rows)
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda r: (r["method"], r["bits_per_weight"], r["variant_id"])):
        groups.setdefault(" · ".join([row["method"], *(_place(row, name) for name in apart)]), []).append(row)
    return groups


def one_place(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the model and device that most of them belong to: only those compare with each other."""
    places = Counter((row["model"], row["device"]) for row in rows)
    if not places:
        return []
    place = min(places, key=lambda pair: (-places[pair], pair))
    return [row for row in rows if (row["model"], row["device"]) == place]


def with_measured_error(row: Row, value: str, error: str) -> Estimate:
    """Return a column with its error column, such as `ppl_se`: clustered by window where that was measured.

    A clustered error is known with one degree of freedom less than there are windows; an unknown one is infinite.
    """
    clustered = row.get(f"{error}_clustered")
    if clustered is not None:
        windows = row.get("n_windows")
        return Estimate(row[value], clustered, windows - 1 if windows else math.inf)
    plain = row[error]
    return Estimate(row[value], math.inf if plain is None else plain)


def places_apart(rows: Sequence[Row]) -> list[str]:
    """Tell which of model and device the rows differ in."""
    return [name for name in ("model", "device") if len({row.get(name) for row in rows}) > 1]


def place_in_words(row: Row, rows: Sequence[Row]) -> str:
    """Name a row's model, device or both, as far as `rows` differ in them."""
    return " on ".join(_place(row, name) for name in places_apart(rows))


def _place(row: Row, name: str) -> str:
    return formats.device_name(row[name]) if name == "device" else str(row[name])


def front_of(rows: Sequence[Row], cost: Sequence[float], loss: Sequence[float]) -> list[int]:
    """Find the Pareto front among the rows of one model on one device (see `one_place`): their indices."""
    kept = {row["variant_id"] for row in one_place(rows)}
    mine = [index for index, row in enumerate(rows) if row["variant_id"] in kept]
    return [mine[place] for place in pareto([cost[i] for i in mine], [loss[i] for i in mine])]


def ppl_ends(row: Row) -> tuple[float, float]:
    """95 % interval of a variant's perplexity where the baseline's is taken as given: its paired error.

    Without a paired error that of the perplexity itself, which the choice of text moves for all variants alike.
    """
    ppl = float(row["ppl"])
    if not row["is_baseline"]:
        paired = with_measured_error(row, "ln_ppl_ratio", "ln_ppl_ratio_se").half
        if math.isfinite(paired):
            return ppl * math.exp(-paired), ppl * math.exp(paired)
    level = with_measured_error(row, "ppl", "ppl_se").half
    half = level if math.isfinite(level) else 0.0
    return max(ppl - half, 0.5 * ppl), ppl + half


def plus_minus(row: Row, value: str, error: str) -> str:
    """Return ` ± ` and the half-width of a column's 95 % interval; nothing where its error was not measured."""
    half = with_measured_error(row, value, error).half
    return f" ± {formats.number(half, 2)}" if math.isfinite(half) else ""
