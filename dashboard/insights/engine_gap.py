"""Describe the engine gap: the loss that packing into ONNX, the timed form, adds to a file's own."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights import Insight
from dashboard.results.rows import Row, complete
from dashboard.results.selection import Selection
from dashboard.style import formats

#: Mean KL divergence of the packed model from the file's exact weights.
GAP = "deploy_kld_mean"
_NAMED = 3
NOT_MEASURED = "not measured"
OVER_ALL = "known over all tokens only"
_RULE = (
    "KL divergence of the packed model from the file's exact weights (over a few windows), on top of that of the "
    "weights from the baseline; nats per token; speed is measured on the packed model"
)


def unknown_gap(selection: Selection) -> str:
    """Say why a gap is missing."""
    return OVER_ALL if selection.filters_tokens else NOT_MEASURED


def is_timed(row: Row) -> bool:
    """Return whether the file was packed and timed."""
    return row["decode_ms_p50"] is not None or row["prefill_tps"] is not None or row[GAP] is not None


def share(row: Row) -> float | None:
    """Return the gap as a multiple of the file's own loss; None if either is unknown or the loss is 0."""
    if not complete([row], GAP, "kld_mean") or row["kld_mean"] <= 0:
        return None
    return float(row[GAP] / row["kld_mean"])


def packing_adds(row: Row, selection: Selection) -> str:
    """Say how much packing adds to a file's own loss, or why that is unknown."""
    if row[GAP] is None:
        return f"Loss added by packing as ONNX, the form that is timed: {unknown_gap(selection)}"
    ratio = share(row)
    times = f", {formats.number(ratio, 2)} × the file's own loss" if ratio is not None and ratio > 1 else ""
    return f"Packing as ONNX, the form that is timed, adds {formats.number(row[GAP], 2)} nats{times}"


def gap_insight(rows: Sequence[Row], selection: Selection) -> Insight | None:
    """Name the files to which packing adds more than their own loss; None if no file was timed."""
    timed = complete(rows, "decode_ms_p50", "kld_mean")
    known = [row for row in timed if row[GAP] is not None]
    if not timed:
        return None
    if not known:
        return Insight(f"The loss added by packing for speed is {unknown_gap(selection)}.", "unknown", _RULE)
    over = [row for row in known if row[GAP] > row["kld_mean"]]
    missing = len(timed) - len(known)
    rule = f"{_RULE}; not measured for {missing} of {len(timed)} files" if missing else _RULE
    if not over:
        most = max(known, key=lambda row: (share(row) or 0.0, row["variant_id"]))
        text = f"Packing for speed adds less than each file's own loss: at most {_both(most)}."
        return Insight(text, "finding", rule)
    worst = sorted(over, key=lambda row: (-row[GAP] / max(row["kld_mean"], 1e-300), row["variant_id"]))
    named = formats.listing([_both(row) for row in worst], _NAMED)
    text = f"Packing for speed adds more than the file's own loss: {named}."
    return Insight(text, "caution", rule)


def _both(row: Row) -> str:
    gap, own = formats.number(row[GAP], 2), formats.number(row["kld_mean"], 2)
    return f"{row['label']} ({gap} on top of {own} nats)"
