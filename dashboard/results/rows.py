"""Group and name rows of the variants frame, and read values with their errors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from dashboard.results.failures import is_useless
from dashboard.results.statistics import Estimate, pareto
from dashboard.style import formats

Row = dict[str, Any]
#: Files whose sizes differ by at most this share have the same weights' size: the rest is headers.
SAME_BYTES = 0.001


def type_name(row: Row) -> str:
    """Return a variant's type, with the words that distinguish it from another file of its method and type."""
    return f"{row['quant']} {row.get('twin') or ''}".rstrip()


def complete(rows: Sequence[Row], *columns: str) -> list[Row]:
    """Return the rows in which every named column is measured and finite, without useless files."""
    return [
        r
        for r in rows
        if not is_useless(r) and all(r[c] is not None and math.isfinite(r[c]) for c in columns)
    ]


def by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group rows by method: methods sorted by name, rows by bits per weight.

    If the rows are of several models or devices, each has its own entry, named `method · model`.
    """
    apart = places_apart(rows)
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda r: (r["method"], r["bits_per_weight"], r["variant_id"])):
        groups.setdefault(" · ".join([row["method"], *(_place(row, name) for name in apart)]), []).append(row)
    return groups


def one_place(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the most frequent model and device: only rows of one model and device are comparable."""
    places = Counter((row["model"], row["device"]) for row in rows)
    if not places:
        return []
    place = min(places, key=lambda pair: (-places[pair], pair))
    return [row for row in rows if (row["model"], row["device"]) == place]


def with_measured_error(row: Row, value: str, error: str) -> Estimate:
    """Return a column with its error column, such as `ppl_se`: clustered by window if that was measured.

    A clustered error has one degree of freedom less than there are windows; an unknown error is infinite.
    """
    clustered = row.get(f"{error}_clustered")
    if clustered is not None:
        windows = row.get("n_windows")
        return Estimate(row[value], clustered, windows - 1 if windows else math.inf)
    plain = row[error]
    return Estimate(row[value], math.inf if plain is None else plain)


def places_apart(rows: Sequence[Row]) -> list[str]:
    """Return in which of `model` and `device` the rows differ."""
    return [name for name in ("model", "device") if len({row.get(name) for row in rows}) > 1]


def place_in_words(row: Row, rows: Sequence[Row]) -> str:
    """Name a row's model, device or both, if `rows` differ in them."""
    return " on ".join(_place(row, name) for name in places_apart(rows))


def _place(row: Row, name: str) -> str:
    return formats.device_name(row[name]) if name == "device" else str(row[name])


def front_of(
    rows: Sequence[Row], cost: Sequence[float], loss: Sequence[float], equal: float = 0.0
) -> list[int]:
    """Return the indices of the Pareto front among the rows of one model and device (see `one_place`).

    Costs that differ by at most the share `equal` are taken as equal.
    """
    kept = {row["variant_id"] for row in one_place(rows)}
    indices = [index for index, row in enumerate(rows) if row["variant_id"] in kept]
    front = [indices[place] for place in pareto([cost[i] for i in indices], [loss[i] for i in indices])]
    if equal == 0:
        return front
    best = [min((loss[j] for j in front if cost[j] <= cost[i] * (1 + equal)), default=loss[i]) for i in front]
    return [index for index, least in zip(front, best, strict=True) if loss[index] <= least]


def ppl_ends(row: Row) -> tuple[float, float]:
    """Return the 95 % interval of a variant's perplexity, taking the baseline's as exact: its paired error.

    Without a paired error it is the error of the perplexity itself, most of which all variants share.
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
    """Write ` ± ` and the half-width of a column's 95 % interval; empty if its error was not measured."""
    half = with_measured_error(row, value, error).half
    return f" ± {formats.number(half, 2)}" if math.isfinite(half) else ""
