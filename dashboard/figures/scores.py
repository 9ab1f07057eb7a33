"""Qualities of a variant as scores from 0 to 1 against fixed references."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dashboard.results.rows import Row, complete
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.style.names import in_figure


@dataclass(frozen=True)
class Axis:
    """One spoke: `score` gives 0–1 or None where it was not measured, `raw` writes the value behind it."""

    name: str
    reference: str
    score: Callable[[Row], float | None]
    raw: Callable[[Row], str]

    def hover(self, row: Row, score: float) -> str:
        """Return the hover text of a variant's place on this axis."""
        lines = (
            f"<b>{in_figure(row['label'])}</b>",
            f"{self.name} {formats.percent(score)}",
            self.raw(row),
            self.reference,
        )
        return "<br>".join(lines)


def axes(scope: Scope) -> list[Axis]:
    """At most six spokes; references are of all variants, over the tokens that `selection` counts.

    A filter of variants never rescales them; one of tokens computes values and references anew.
    """
    rows = scope.results.select(scope.selection.tokens_alone).to_dicts()
    smallest = min(row["size_bytes"] for row in rows) if rows else 1
    efficient = max((r["inv_ppl_per_mb"] for r in complete(rows, "inv_ppl_per_mb")), default=None)
    fastest = min((r["decode_ms_p50"] for r in complete(rows, "decode_ms_p50")), default=None)
    found = [
        Axis(
            "perplexity",
            "PPL of the baseline / PPL; baseline = 100 %",
            lambda r: None if r["ln_ppl_ratio"] is None else min(1.0, math.exp(-r["ln_ppl_ratio"])),
            lambda r: f"PPL {formats.number(r['ppl'], 4)}",
        ),
        Axis(
            "fidelity",
            "exp(−mean KLD); baseline = 100 %",
            lambda r: None if r["kld_mean"] is None else math.exp(-max(0.0, r["kld_mean"])),
            lambda r: f"KLD {formats.number(r['kld_mean'], 2)}",
        ),
        Axis(
            "same top token",
            "baseline = 100 %",
            lambda r: r["same_top"],
            lambda r: f"same top {formats.percent(r['same_top'])}",
        ),
        Axis(
            "small size",
            f"smallest file measured, {formats.size(smallest)} = 100 %",
            lambda r: float(smallest / r["size_bytes"]),
            lambda r: formats.size(r["size_bytes"]),
        ),
    ]
    if efficient:
        best = efficient
        found.append(
            Axis(
                "efficiency",
                f"best 1/PPL/MB measured, {formats.number(1e5 * best)} × 10⁻⁵ = 100 %",
                lambda r: None if r["inv_ppl_per_mb"] is None else float(r["inv_ppl_per_mb"] / best),
                lambda r: f"{formats.number(1e5 * r['inv_ppl_per_mb'])} × 10⁻⁵",
            )
        )
    if fastest:
        quickest = fastest
        found.append(
            Axis(
                "decode speed",
                f"fastest measured, {formats.number(quickest)} ms = 100 %",
                lambda r: float(quickest / r["decode_ms_p50"]) if r["decode_ms_p50"] else None,
                lambda r: f"{formats.number(r['decode_ms_p50'])} ms",
            )
        )
    return found
