"""Describe the engine gap: the loss that running a file in the chosen engine adds to the file's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.insights import Insight
from dashboard.results.engines import ENGINE
from dashboard.results.rows import Row, complete
from dashboard.results.selection import Selection
from dashboard.style import formats
from evaluator.results.schema import FIRST_ENGINE

#: Mean KL divergence of the file as run in the chosen engine from its exact weights, and from the baseline's.
GAP, RUN_LOSS = "run_kld_added", "run_kld_mean"
_NAMED = 3
NOT_MEASURED = "not measured"
OVER_ALL = "known over all tokens only"


@dataclass(frozen=True)
class Words:
    """How an engine's gap is told: what adds it, in a list, beside a file and in a table, and what it is."""

    adder: str
    beside: str
    unknown: str
    head: str
    hover: str
    after: str
    rule: str


_PACKED = Words(
    adder="Packing for speed",
    beside="Packing as ONNX, the form that is timed, adds",
    unknown="Loss added by packing as ONNX, the form that is timed",
    head="Packing adds",
    hover="packing",
    after="after packing",
    rule="KL divergence of the packed model from the file's exact weights (over a few windows), on top of that of "
    "the weights from the baseline; nats per token; speed is measured on the packed model",
)


def words(engine: str) -> Words:
    """Return how the gap of an engine is told."""
    if engine == FIRST_ENGINE:
        return _PACKED
    return Words(
        adder=f"Running in {engine}",
        beside=f"Running it in {engine} adds",
        unknown=f"Loss added by running it in {engine}",
        head=f"{engine} adds",
        hover=engine,
        after=f"as run in {engine}",
        rule=f"KL divergence of {engine} from the file's exact weights, on top of that of the weights from the "
        f"baseline; nats per token; speed is measured in {engine}",
    )


def unknown_gap(selection: Selection) -> str:
    """Say why a gap is missing."""
    return OVER_ALL if selection.filters_tokens else NOT_MEASURED


def is_timed(row: Row) -> bool:
    """Return whether the file was run in the chosen engine."""
    return any(row[name] is not None for name in ("run_decode_ms_p50", "run_prefill_tps", GAP))


def loss_as_run(row: Row) -> float:
    """Return the loss of a file as run in the chosen engine: measured, else the file's own and the gap added up."""
    if row[RUN_LOSS] is not None:
        return float(row[RUN_LOSS])
    return float(row["kld_mean"] + (row[GAP] or 0.0))


def share(row: Row) -> float | None:
    """Return the gap as a multiple of the file's own loss; None if either is unknown or the loss is 0."""
    if not complete([row], GAP, "kld_mean") or row["kld_mean"] <= 0:
        return None
    return float(row[GAP] / row["kld_mean"])


def packing_adds(row: Row, selection: Selection) -> str:
    """Say how much running adds to a file's own loss, or why that is unknown."""
    told = words(row[ENGINE])
    if row[GAP] is None:
        return f"{told.unknown}: {unknown_gap(selection)}"
    ratio = share(row)
    times = f", {formats.number(ratio, 2)} × the file's own loss" if ratio is not None and ratio > 1 else ""
    return f"{told.beside} {formats.number(row[GAP], 2)} nats{times}"


def gap_insight(rows: Sequence[Row], selection: Selection) -> Insight | None:
    """Name the files to which running adds more than their own loss; None if no file was timed."""
    timed = complete(rows, "run_decode_ms_p50", "kld_mean")
    known = [row for row in timed if row[GAP] is not None]
    if not timed:
        return None
    told = words(timed[0][ENGINE])
    if not known:
        by = f"{told.adder[:1].lower()}{told.adder[1:]}"
        return Insight(f"The loss added by {by} is {unknown_gap(selection)}.", "unknown", told.rule)
    over = [row for row in known if row[GAP] > row["kld_mean"]]
    missing = len(timed) - len(known)
    rule = f"{told.rule}; not measured for {missing} of {len(timed)} files" if missing else told.rule
    if not over:
        most = max(known, key=lambda row: (share(row) or 0.0, row["variant_id"]))
        text = f"{told.adder} adds less than each file's own loss: at most {_both(most)}."
        return Insight(text, "finding", rule)
    worst = sorted(over, key=lambda row: (-row[GAP] / max(row["kld_mean"], 1e-300), row["variant_id"]))
    named = formats.listing([_both(row) for row in worst], _NAMED)
    return Insight(f"{told.adder} adds more than the file's own loss: {named}.", "caution", rule)


def _both(row: Row) -> str:
    gap, own = formats.number(row[GAP], 2), formats.number(row["kld_mean"], 2)
    return f"{row['label']} ({gap} on top of {own} nats)"
