"""State what the layer frame says about mixtures of experts: routing, experts, and the precision of their parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import polars as pl

from dashboard.insights import Insight, experts
from dashboard.insights.layer_measures import HIDDEN, ROUTING
from dashboard.insights.layers import Values, cells
from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.results.statistics import rank_correlation
from dashboard.style import formats

_LEAST_LAYERS = 6
#: A rank correlation from here on counts as going together.
_TOGETHER = 0.5
#: Bits per weight from which a matrix counts as kept in high precision.
_HIGH_BITS = 16
#: Bits per weight by which one part has more than another.
_MORE_BITS = 0.5
_MOST_NOTES = 3
_ROUTER, _EXPERTS, _SHARED = "ffn_gate_inp", "_exps", "_shexp"


def statements(results: Results, rows: Sequence[Row]) -> list[Insight]:
    """Describe routing, experts and precision of the variants; nothing for what was not measured."""
    return [*_routing(results, rows), *experts.statements(results, rows), *_precision(results, rows)]


def _routing(results: Results, rows: Sequence[Row]) -> list[Insight]:
    """Name the layer whose routing changed most, and say whether the routing goes with the output error."""
    changed = {name: values for name, values in cells(results, rows, ROUTING).items() if values}
    if not changed:
        return []
    labels = {row["variant_id"]: str(row["label"]) for row in rows}
    peaks = {name: max(values, key=lambda cell: (values[cell], -cell[0])) for name, values in changed.items()}
    most = max(peaks, key=lambda name: changed[name][peaks[name]])
    peak = changed[most][peaks[most]]
    if peak == 0:
        return [Insight("No sampled token gets other experts in any layer.", "finding")]
    text = f"Routing changes most in layer {peaks[most][0]}: {ROUTING.in_a_sentence(peak)}."
    hidden = cells(results, rows, HIDDEN)
    ranks = {name: rho for name in changed if (rho := _together(changed[name], hidden[name])) is not None}
    return [Insight(text, "finding", labels[most]), *_with_output(ranks, labels)]


def _together(changed: Values, hidden: Values) -> float | None:
    """Return the rank correlation over layers; None for fewer than six layers with both."""
    both = sorted(changed.keys() & hidden.keys())
    if len(both) < _LEAST_LAYERS:
        return None
    return rank_correlation([changed[cell] for cell in both], [hidden[cell] for cell in both])


def _with_output(ranks: Mapping[str, float], labels: Mapping[str, str]) -> list[Insight]:
    if not ranks:
        return []
    values = [f"{labels[name]} {formats.signed(rho, 2)}" for name, rho in ranks.items()]
    detail = f"Spearman's ρ over layers: {formats.listing(values, 4)}; from {_TOGETHER} on they go together"
    if all(rho >= _TOGETHER for rho in ranks.values()):
        return [Insight("Routing changes more in layers with a larger output error.", "finding", detail)]
    if all(rho <= -_TOGETHER for rho in ranks.values()):
        return [Insight("Routing changes less in layers with a larger output error.", "finding", detail)]
    every = " in every shown variant" if len(ranks) > 1 else ""
    return [Insight(f"Where routing changes does not follow the output error{every}.", "finding", detail)]


@dataclass(frozen=True)
class _Bits:
    """Bits per weight of a variant's experts, its routers (the fewest) and its shared experts; None if absent."""

    label: str
    experts: float
    router: float | None
    router_types: frozenset[str]
    shared: float | None

    @classmethod
    def of(cls, label: str, matrices: Iterable[tuple[str, str | None, float]]) -> _Bits | None:
        """Read (role, type, bits) of a variant's matrices; None without experts."""
        routers, experts, shared = [], [], []
        types = set()
        for role, kind, bits in matrices:
            if role == _ROUTER:
                routers.append(bits)
                types.add(kind or "an unknown type")
            elif role.endswith(_EXPERTS):
                experts.append(bits)
            elif role.endswith(_SHARED) and not role.startswith(_ROUTER):
                shared.append(bits)
        if not experts:
            return None
        return cls(
            label,
            fmean(experts),
            min(routers, default=None),
            frozenset(types),
            fmean(shared) if shared else None,
        )

    @property
    def note(self) -> str:
        """All in a few words."""
        parts = [f"routers {' and '.join(sorted(self.router_types))}"] if self.router is not None else []
        parts += [f"shared experts {formats.bits(self.shared)}"] if self.shared is not None else []
        return f"{self.label}: {', '.join([*parts, f'experts {formats.bits(self.experts)}'])}"


def _precision(results: Results, rows: Sequence[Row]) -> list[Insight]:
    """Say whether routers are kept in high precision, and whether shared experts have more bits than the others."""
    layers = results.layers()
    if layers is None:
        return []
    matrices: dict[str, list[tuple[str, str | None, float]]] = {str(row["variant_id"]): [] for row in rows}
    known = layers.filter(pl.col("variant_id").is_in(list(matrices)), pl.col("bits_per_weight").is_not_null())
    for name, *matrix in known.select("variant_id", "role", "quant_type", "bits_per_weight").iter_rows():
        matrices[name].append((matrix[0], matrix[1], matrix[2]))
    found = [_Bits.of(str(row["label"]), matrices[row["variant_id"]]) for row in rows]
    variants = [bits for bits in found if bits is not None]
    kept = [bits.router >= _HIGH_BITS for bits in variants if bits.router is not None]
    richer = [bits.shared - bits.experts >= _MORE_BITS for bits in variants if bits.shared is not None]
    said = []
    if kept:
        who = f"{sum(kept)} of {len(kept)} shown variants keep routers" if any(kept) else "no router is kept"
        said.append(f"{'routers are kept' if all(kept) else who} in high precision")
    if richer:
        where = "" if all(richer) or not any(richer) else f" in {sum(richer)} of {len(richer)} shown variants"
        said.append(f"shared experts have {'more' if any(richer) else 'no more'} bits than the others{where}")
    if not said:
        return []
    text = "; ".join(said)
    notes = ". ".join(bits.note for bits in variants[:_MOST_NOTES])
    return [Insight(f"{text[0].upper()}{text[1:]}.", "finding", notes)]
