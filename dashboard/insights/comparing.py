"""Two variants side by side: every metric with its paired difference and a verdict, and their tensor types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from dashboard.insights.claim_rules import Case
from dashboard.insights.engine_gap import GAP, unknown_gap
from dashboard.insights.noise import least_divergence
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from evaluator.results.schema import ROLES, STATISTICS

Row = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One metric of two variants, in words; `leader` is 0 or 1, None when tied or not tested."""

    metric: str
    values: tuple[str, str]
    difference: str
    verdict: str
    leader: int | None = None


@dataclass(frozen=True)
class TensorTypes:
    """Types that two variants give one role: `{type: number of tensors}` each, and in how many layers they differ."""

    role: str
    types: tuple[Mapping[str, int], Mapping[str, int]]
    differing: int


def chosen(scope: Scope) -> tuple[Row, Row] | None:
    """Return the two variants to compare: named in the address, else picked, else two of about one size.

    None when the folder has fewer than two variants.
    """
    rows = {
        str(row["variant_id"]): row
        for row in scope.results.select(replace(scope.selection, only=frozenset())).to_dicts()
    }
    everything = {str(row["variant_id"]): row for row in scope.results.measured.to_dicts()}
    if len(everything) < 2:
        return None
    options = dict(scope.selection.options)
    named = [options[key] if options.get(key) in everything else None for key in ("a", "b")]
    spare = [*sorted(scope.selection.picked), *_of_one_size(rows or everything), *everything]
    for place in (0, 1):
        if named[place] is None:
            named[place] = next(name for name in spare if name in everything and name not in named)
    computed = {
        str(row["variant_id"]): row for row in scope.results.select(scope.selection.tokens_alone).to_dicts()
    }
    return computed[str(named[0])], computed[str(named[1])]


def _of_one_size(rows: Mapping[str, Row]) -> list[str]:
    """Return the two variants of different methods on one model and device whose sizes are closest; else any two."""
    ordered = sorted(rows.values(), key=lambda row: (row["size_bytes"], row["variant_id"]))
    pairs = [
        (
            abs(math.log(one["size_bytes"] / other["size_bytes"])),
            str(one["variant_id"]),
            str(other["variant_id"]),
        )
        for index, one in enumerate(ordered)
        for other in ordered[index + 1 : index + 6]
        if one["method"] != other["method"]
        and (one["model"], one["device"]) == (other["model"], other["device"])
    ]
    return list(min(pairs)[1:]) if pairs else [str(row["variant_id"]) for row in ordered[:2]]


def differences(results: Results, first: Row, second: Row, selection: Selection) -> list[Difference]:
    """Every metric of two variants; quality is paired over the same tokens, size and speed are not tested."""
    a, b = str(first["variant_id"]), str(second["variant_id"])
    rows = (first, second)
    found = [
        _tested(
            "Perplexity",
            _texts(rows, "ppl", lambda v: formats.number(v, 4)),
            results.paired(a, b, "nll", selection),
            _ppl_change,
            lower=True,
        ),
        _divergence(results, rows, selection),
        _tested(
            "Same top token",
            _texts(rows, "same_top", formats.percent),
            results.paired(a, b, "same_top", selection),
            _in_points,
            lower=False,
        ),
        _tested(
            "Mean Δp of the right token",
            _texts(rows, "delta_p_mean", lambda v: f"{formats.signed(v, 2)} points"),
            results.paired(a, b, "delta_p", selection),
            _points,
            lower=False,
        ),
        _tested(
            "Sure tokens (top probability over 0.95)",
            _sure(results, rows, selection),
            results.paired(a, b, "bin4", selection),
            _in_points,
            lower=None,
        ),
    ]
    for domain in results.domains if len(results.domains) > 1 and not selection.domains else []:
        part = replace(selection, domains=frozenset({domain}))
        paired = results.paired(a, b, "kld", part)
        if paired is not None:
            values = (_domain_kld(results, first, part), _domain_kld(results, second, part))
            found.append(_tested(f"Mean KLD in {domain}", values, paired, _in_nats, lower=True))
    return [*found, *_untested(rows, selection)]


def _divergence(results: Results, rows: tuple[Row, Row], selection: Selection) -> Difference:
    """Mean KLD, which decides who is closer: of two files of one size as every other page says it.

    A difference that rounding the baseline causes as well is none.
    """
    ids = [str(row["variant_id"]) for row in rows]
    paired = results.paired(ids[0], ids[1], "kld", selection)
    found = _tested("Mean KLD", _texts(rows, "kld_mean", _nats), paired, _in_nats, lower=True)
    if paired is None or found.leader is None:
        return found
    band = next(
        (band for band in Case.of(Scope(results, selection)).bands if band.closer(*ids) is not None), None
    )
    if band is not None and not band.closer(*ids):
        reach = formats.number(paired.reach(band.ranking.among), 2)
        wider = f"{formats.signed(paired.value)} ± {reach} nats, for {band.ranking.among} sizes at once"
        return replace(found, difference=wider, verdict="tied", leader=None)
    if abs(paired.value) - paired.half <= least_divergence(Scope(results, selection), rows):
        return replace(found, verdict="tied", leader=None)
    return found


def _tested(
    metric: str, values: tuple[str, str], paired: Estimate | None, word: Any, *, lower: bool | None
) -> Difference:
    if paired is None:
        return Difference(metric, values, "", "not comparable token by token")
    difference = word(paired)
    if not paired.differs_from_zero:
        return Difference(metric, values, difference, "tied")
    if lower is None:
        return Difference(metric, values, difference, "more in A" if paired.value > 0 else "more in B")
    leader = int((paired.value > 0) == lower)
    return Difference(metric, values, difference, f"{'AB'[leader]} better", leader)


def _texts(rows: tuple[Row, Row], column: str, word: Any) -> tuple[str, str]:
    one, other = (word(row[column]) if row[column] is not None else _why_not(row, column) for row in rows)
    return one, other


def _why_not(row: Row, column: str) -> str:
    return "failed" if row.get("failure") and column in STATISTICS else "not measured"


def _nats(value: float) -> str:
    return f"{formats.number(value)} nats"


def _domain_kld(results: Results, row: Row, part: Selection) -> str:
    windows = results.windows(str(row["variant_id"]), part)
    total = 0.0 if windows is None else float(windows["n"].sum())
    if windows is None or not total:
        return _why_not(row, "kld_mean")
    return _nats(float(windows["kld"].sum()) / total)


def _sure(results: Results, rows: tuple[Row, Row], selection: Selection) -> tuple[str, str]:
    texts = []
    for row in rows:
        windows = results.windows(str(row["variant_id"]), selection)
        total = 0.0 if windows is None else float(windows["n"].sum())
        texts.append(
            formats.percent(float(windows["bin4"].sum()) / total)
            if windows is not None and total
            else _why_not(row, "top_prob_mean")
        )
    return texts[0], texts[1]


def _ppl_change(paired: Estimate) -> str:
    return formats.percent_change(paired.value, 2, paired.half)


def _in_nats(paired: Estimate) -> str:
    return f"{formats.signed(paired.value)} ± {formats.number(paired.half, 2)} nats"


def _in_points(paired: Estimate) -> str:
    return _points(paired.times(100))


def _points(paired: Estimate) -> str:
    return f"{formats.signed(paired.value, 2)} ± {formats.number(paired.half, 2)} points"


def _untested(rows: tuple[Row, Row], selection: Selection) -> list[Difference]:
    """Facts about files and speed, with their plain ratio; beside a time what packing for it adds to the loss."""
    found = []
    for metric, column, word in (
        ("File size", "size_bytes", formats.size),
        ("Bits per weight", "bits_per_weight", formats.bits),
        ("Decode", "decode_ms_p50", lambda value: f"{formats.number(value)} ms per token"),
        ("Prefill", "prefill_tps", lambda value: f"{formats.number(value)} tokens/s"),
        ("Peak memory", "peak_rss_bytes", formats.size),
    ):
        one, other = (row[column] for row in rows)
        if one is None and other is None:
            continue
        times = formats.times(one / other) if one and other else ""
        ratio = "" if not one or not other else f"A is {times} B" if times else "the same"
        found.append(Difference(metric, _texts(rows, column, word), ratio, ""))
        if column == "decode_ms_p50":
            found.append(_packing(rows, selection))
    return found


def _packing(rows: tuple[Row, Row], selection: Selection) -> Difference:
    """Tell what the packed artifact, whose speed it is, adds to each file's own loss."""
    one, other = (row[GAP] for row in rows)
    texts = [unknown_gap(selection) if value is None else f"{_nats(value)} more" for value in (one, other)]
    ratio = formats.times(one / other) if one and other else ""
    return Difference(
        "KLD that packing for speed adds", (texts[0], texts[1]), f"A is {ratio} B" if ratio else "", ""
    )


def tensor_types(results: Results, first: Row, second: Row) -> list[TensorTypes]:
    """Per role, which types the two variants use; empty without layer frames."""
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
