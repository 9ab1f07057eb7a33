"""Build the row of a measured variant: its identity and the metrics of its tokens."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from evaluator.metrics import measure
from evaluator.metrics.token_scores import token_scores
from evaluator.planning.plan import Candidate, Plan

Row = dict[str, object]

#: Larger numbers are printed in scientific notation.
_READABLE = 1e6


@dataclass(frozen=True)
class MeasuredRow:
    """A row of the variants frame, the number of excluded tokens, and warnings about metrics that failed."""

    values: Row
    n_nonfinite: int
    warnings: list[str]

    @property
    def frame(self) -> pl.DataFrame:
        """The row as a frame."""
        return pl.DataFrame([self.values], infer_schema_length=None)


def measured_row(
    item: Candidate, plan: Plan, provider: str, tokens: pl.DataFrame, baseline: pl.DataFrame | None
) -> MeasuredRow:
    """Compute the row of `item` from its token frame and the baseline's (None for the baseline itself)."""
    size = item.file.size_bytes
    scores, n_nonfinite = token_scores(tokens, baseline, size)
    columns, warnings = measure(scores)
    counts = {"size_bytes": size, "n_tokens": tokens.height, "n_nonfinite": n_nonfinite}
    return MeasuredRow({**_identity(item, plan, provider), **counts, **columns}, n_nonfinite, warnings)


def in_one_line(item: Candidate, row: Row) -> str:
    """Return a one-line summary of a row for the terminal."""
    parts = [f"{item.label}: {item.file.bits_per_weight:.2f} bits per weight"]
    for name, label, form in (
        ("ppl", "PPL", ".4f"),
        ("kld_mean", "KLD", ".5f"),
        ("same_top", "same top", ".1%"),
    ):
        value = row.get(name)
        if isinstance(value, float):
            parts.append(f"{label} {value:{form if value < _READABLE else '.3g'}}")
    return ", ".join(parts)


def _identity(item: Candidate, plan: Plan, provider: str) -> Row:
    return {
        "variant_id": item.variant_id,
        "model": plan.model,
        "method": item.method,
        "quant": item.quant,
        "is_baseline": item.is_baseline,
        "source": item.file.name,
        "sha256": item.sha256,
        "device": plan.device.name,
        "provider": provider,
        "n_params": item.file.n_params,
        "bits_per_weight": item.file.bits_per_weight,
    }
