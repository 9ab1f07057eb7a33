"""Word the titles about loss against the baseline: ratios of perplexity at equal size, and the cost of a bit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from dashboard.insights.bands import Band
from dashboard.results.rows import Row, by_method
from dashboard.results.statistics import Estimate, slope
from dashboard.style import formats
from dashboard.style.columns import PPL_SHARE

#: Share of 1 from which a decimal is written.
_NEARLY_ALL = 0.98


def ppl_share(row: Row) -> str:
    """Return the PPL of the baseline / PPL of a file, as per cent."""
    share = math.exp(-row["ln_ppl_ratio"])
    return formats.percent(share, 1 if _NEARLY_ALL <= share < 1 else 0)


def size_of(band: Band) -> str:
    """Return the size of a band's files in words."""
    return f"{formats.size(band.size)} ({formats.bits(band.bits)})"


def shares_at(band: Band) -> str:
    """Write the PPL of the baseline / PPL of files of equal size, closest by KLD first."""
    shares = {method: ppl_share(row) for method, row in band.files.items()}
    where = f"At {size_of(band)}"
    others = [f"{method} {share}" for method, share in shares.items() if method != band.leader]
    if band.leader is None:
        return f"{where} {formats.listing(band.first)} are tied; {PPL_SHARE}: {formats.listing(others)}"
    best = [f"{band.leader} {shares[band.leader]}", *others]
    return f"{where} {band.leader} is closest; {PPL_SHARE}: {formats.listing(best)}"


@dataclass(frozen=True)
class Fit:
    """A straight line through ln KLD over bits: its slope, and a method's files by bits."""

    rows: Sequence[Row]
    slope: Estimate

    @property
    def factor(self) -> str:
        """By how much one bit less multiplies the divergence."""
        return formats.number(math.exp(-self.slope.value), 2)

    def at(self, bits: float) -> float:
        """Return the KLD of the line in nats; a line of least squares passes through the means."""
        middle = fmean(row["bits_per_weight"] for row in self.rows)
        height = fmean(math.log(row["kld_mean"]) for row in self.rows)
        return math.exp(self.slope.value * (bits - middle) + height)


def fits(rows: Sequence[Row]) -> dict[str, Fit]:
    """Return the fits of methods with at least three variants and a falling curve, without rows of no divergence."""
    found = {}
    for method, group in by_method([row for row in rows if row["kld_mean"] > 0]).items():
        trend = slope([r["bits_per_weight"] for r in group], [math.log(r["kld_mean"]) for r in group])
        if trend is not None and trend.high < 0:
            found[method] = Fit(group, trend)
    return found


def cost_of_a_bit(found: Mapping[str, Fit]) -> str:
    """Write by how much a bit saved multiplies the divergence, over all methods."""
    factors = [fit.factor for fit in sorted(found.values(), key=lambda fit: -fit.slope.value)]
    if factors[0] == factors[-1]:
        method = f" ({next(iter(found))})" if len(found) == 1 else ", with every method"
        return f"Every bit saved multiplies the divergence by about {factors[0]}{method}"
    span = f"{factors[0]} to {factors[-1]}"
    return f"Every bit saved multiplies the divergence by {span}, depending on the method"
