"""Compare two variants: every metric with its paired difference and verdict, and their tensor types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from dashboard.insights.claim_rules import Case
from dashboard.insights.engine_gap import is_timed, unknown_gap
from dashboard.insights.noise import least_divergence
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style import columns, formats
from evaluator.metrics import columns_of
from evaluator.metrics.columns import Column
from evaluator.results.schema import ROLES, STATISTICS

Row = dict[str, Any]
#: The loss that packing for speed adds.
PACKING = "deploy_kld_mean"
#: The share of tokens in the last bin of confidence, which the frame has no column for.
_SURE = Column(
    "top_prob_mean",
    "High-confidence tokens (top probability over 0.95)",
    "share of tokens in that bin",
    "share",
)


@dataclass(frozen=True)
class Difference:
    """One metric of two variants, in words; `leader` is 0 or 1, or None if tied or not tested.

    `column` is the metric's column of the variants frame; several differences may belong to one column.
    """

    metric: str
    values: tuple[str, str]
    difference: str
    verdict: str
    leader: int | None = None
    column: str = ""


@dataclass(frozen=True)
class TensorTypes:
    """Types of one role in two variants, `{type: number of tensors}` each, and the number of layers that differ."""

    role: str
    types: tuple[Mapping[str, int], Mapping[str, int]]
    differing: int


def differences(scope: Scope, first: Row, second: Row) -> list[Difference]:
    """Compare every metric of two variants: per-token metrics are paired over the same tokens, others not tested.

    If files were run in other engines than onnxruntime, times and added losses are left to `runs_compared`.
    """
    key = ("differences", first["variant_id"], second["variant_id"])
    return scope.once(key, lambda: _differences(scope, (first, second)))


def _differences(scope: Scope, rows: tuple[Row, Row]) -> list[Difference]:
    tested: dict[str, Column] = {}  # one column per quantity
    untested = []
    for column in columns_of().values():
        if column.tokens:
            # A folder measured before a metric existed has no value of it.
            if column.tokens == "kld" or any(row[column.name] is not None or row["failure"] for row in rows):
                tested.setdefault(column.tokens, column)
        elif column.main and _is_known(rows, column) and not (column.run and scope.in_engine):
            untested.append(column)
    return [
        *(
            _divergence(scope, rows, c) if c.tokens == "kld" else _tested(scope, rows, c)
            for c in tested.values()
        ),
        _sure(scope, rows),
        *_by_domain(scope, rows, tested["kld"]),
        *(_packing(scope, rows) if c.name == PACKING else _untested(rows, c) for c in untested),
    ]


def _tested(scope: Scope, rows: tuple[Row, Row], column: Column) -> Difference:
    """Compare two variants by a per-token column."""
    return _paired(column.label, column, _texts(rows, column), _pair(scope, rows, str(column.tokens)))


def _pair(scope: Scope, rows: tuple[Row, Row], quantity: str) -> Estimate | None:
    return scope.paired(str(rows[0]["variant_id"]), str(rows[1]["variant_id"]), quantity)


def _divergence(scope: Scope, rows: tuple[Row, Row], column: Column) -> Difference:
    """Compare mean KLD; for two files of equal size the verdict is that of their band, as on every page.

    A difference within the noise floor is a tie.
    """
    ids = [str(row["variant_id"]) for row in rows]
    paired, difference = _pair(scope, rows, "kld"), _tested(scope, rows, column)
    if paired is None or difference.leader is None:
        return difference
    band = next((band for band in Case.of(scope).bands if band.closer(*ids) is not None), None)
    if band is not None and not band.closer(*ids):
        reach = paired.reach(band.ranking.among)
        lead = formats.with_error(paired.value, reach, plus=True)
        floor = least_divergence(scope, rows)
        noise = f", and {formats.number(floor, 2)} is noise" if abs(paired.value) > reach else ""
        wider = f"{lead} nats, for all {band.ranking.among} sizes together{noise}"
        return replace(difference, difference=wider, verdict="tied", leader=None)
    if abs(paired.value) - paired.half <= least_divergence(scope, rows):
        return replace(difference, verdict="tied", leader=None)
    return difference


def _by_domain(scope: Scope, rows: tuple[Row, Row], kld: Column) -> list[Difference]:
    """Compare mean KLD per text, if there are several and none is selected."""
    differences_by_domain = []
    for domain in (
        scope.results.domains if len(scope.results.domains) > 1 and not scope.selection.domains else []
    ):
        part = scope.narrowed(domains=frozenset({domain}))
        paired = _pair(part, rows, "kld")
        if paired is not None:
            differences_by_domain.append(
                _paired(f"{kld.label} in {domain}", kld, _means(part, rows, "kld", kld), paired)
            )
    return differences_by_domain


def _sure(scope: Scope, rows: tuple[Row, Row]) -> Difference:
    """Compare the shares of high-confidence tokens; neither more nor fewer is better."""
    values = _means(scope, rows, "bin4", _SURE)
    return _paired(_SURE.label, _SURE, values, _pair(scope, rows, "bin4"))


def _paired(metric: str, column: Column, values: tuple[str, str], paired: Estimate | None) -> Difference:
    if paired is None:
        return Difference(metric, values, "", "not comparable token by token", column=column.name)
    verdict = "identical" if paired.identical else "tied"
    difference = Difference(
        metric, values, columns.difference(column, paired.value, paired.half), verdict, column=column.name
    )
    if not paired.differs_from_zero:
        return difference
    if column.better is None:
        return replace(difference, verdict="more in A" if paired.value > 0 else "more in B")
    leader = int((paired.value > 0) == (column.better == "lower"))
    return replace(difference, verdict=f"{'AB'[leader]} better", leader=leader)


def _means(scope: Scope, rows: tuple[Row, Row], quantity: str, column: Column) -> tuple[str, str]:
    """Write both variants' means of a quantity over the tokens in scope."""
    texts = []
    for row in rows:
        windows = scope.windows(str(row["variant_id"]))
        total = 0.0 if windows is None else float(windows["n"].sum())
        mean = float(windows[quantity].sum()) / total if windows is not None and total else None
        texts.append(_why_not(row, column.name) if mean is None else columns.value(column, mean))
    return texts[0], texts[1]


def _texts(rows: tuple[Row, Row], column: Column) -> tuple[str, str]:
    values = [(row, row[column.name]) for row in rows]
    one, other = (_why_not(row, column.name) if v is None else columns.value(column, v) for row, v in values)
    return one, other


def _why_not(row: Row, column: str) -> str:
    return "failed" if row.get("failure") and column in STATISTICS else "not measured"


def _is_known(rows: tuple[Row, Row], column: Column) -> bool:
    """Return whether an untested column has a value, or a known reason for having none."""
    return any(row[column.name] is not None or (column.name == PACKING and is_timed(row)) for row in rows)


def _untested(rows: tuple[Row, Row], column: Column) -> Difference:
    """Compare a column without a test: by ratio, or by difference if values may be negative."""
    one, other = (row[column.name] for row in rows)
    comparison = ""
    if column.low is None or column.low < 0:
        comparison = columns.difference(column, one - other) if None not in {one, other} else ""
    elif one and other:
        times = formats.times(one / other)
        comparison = f"A is {times} B" if times else "the same"
    return Difference(column.label, _texts(rows, column), comparison, "", column=column.name)


def _packing(scope: Scope, rows: tuple[Row, Row]) -> Difference:
    """Compare the loss that packing for speed adds to each file's own."""
    gap = columns_of()[PACKING]
    one, other = (row[PACKING] for row in rows)
    texts = [
        unknown_gap(scope.selection) if value is None else f"{columns.value(gap, value)} more"
        for value in (one, other)
    ]
    ratio = formats.times(one / other) if one and other else ""
    return Difference(gap.label, (texts[0], texts[1]), f"A is {ratio} B" if ratio else "", "", column=PACKING)


def tensor_types(results: Results, first: Row, second: Row) -> list[TensorTypes]:
    """Return which types the two variants use per role; empty without layer frames."""
    layers = results.layers()
    if layers is None:
        return []
    ids = [str(row["variant_id"]) for row in (first, second)]
    kept = layers.filter(pl.col("quant_type").is_not_null(), pl.col("variant_id").is_in(ids))
    types: dict[str, tuple[dict[int, str], dict[int, str]]] = {}
    for variant_id, layer, role, quant in kept.select(
        "variant_id", "layer", "role", "quant_type"
    ).iter_rows():
        types.setdefault(str(role), ({}, {}))[ids.index(variant_id)][layer] = quant
    return [
        TensorTypes(
            role,
            (_count(one), _count(other)),
            sum(one.get(layer) != other.get(layer) for layer in one | other),
        )
        for role, (one, other) in sorted(types.items(), key=lambda item: ROLES.index(item[0]))
    ]


def _count(types: Mapping[int, str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for quant in sorted(types.values()):
        counts[quant] = counts.get(quant, 0) + 1
    return counts
