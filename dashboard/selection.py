"""What is picked: a frozen `Selection`, to and from the URL, and to a Polars expression."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

import polars as pl

_BITS = re.compile(r"^(\d{1,3}(?:\.\d{1,6})?)-(\d{1,3}(?:\.\d{1,6})?)$")
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Selection:
    """Picked variants; an empty set means all, `bits` is an inclusive range in bits per weight."""

    models: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    quants: frozenset[str] = frozenset()
    bits: tuple[float, float] | None = None

    @classmethod
    def of(
        cls,
        models: Iterable[str] | None = None,
        methods: Iterable[str] | None = None,
        quants: Iterable[str] | None = None,
        bits: tuple[float, float] | None = None,
    ) -> Selection:
        """Build a selection from any iterables of names."""
        return cls(frozenset(models or ()), frozenset(methods or ()), frozenset(quants or ()), bits)

    @classmethod
    def from_query(cls, query: str | None) -> Selection:
        """Read `?model=…&method=…&quant=…&bits=3-5`; what is unknown or malformed is ignored."""
        names: dict[str, set[str]] = {"model": set(), "method": set(), "quant": set()}
        bits: tuple[float, float] | None = None
        for key, value in _pairs(query):
            if key in names and value and len(value) <= _LONGEST_NAME:
                names[key].add(value)
            elif key == "bits":
                bits = _parse_bits(value) or bits
        return cls.of(names["model"], names["method"], names["quant"], bits)

    def to_query(self) -> str:
        """Write the query string without `?`: sorted, so equal selections give equal links."""
        pairs = [("model", name) for name in sorted(self.models)]
        pairs += [("method", name) for name in sorted(self.methods)]
        pairs += [("quant", name) for name in sorted(self.quants)]
        if self.bits is not None:
            pairs.append(("bits", f"{_plain(self.bits[0])}-{_plain(self.bits[1])}"))
        return urlencode(pairs, quote_via=quote)

    def expression(self) -> pl.Expr:
        """Rows of the variants frame that are picked; the baseline's row is always kept."""
        picked = pl.lit(value=True)
        for column, names in (("model", self.models), ("method", self.methods), ("quant", self.quants)):
            if names:
                picked = picked & pl.col(column).is_in(sorted(names))
        if self.bits is not None:
            picked = picked & pl.col("bits_per_weight").is_between(*self.bits)
        return picked | pl.col("is_baseline")


def _pairs(query: str | None) -> list[tuple[str, str]]:
    try:
        return parse_qsl((query or "").removeprefix("?"), max_num_fields=500)
    except ValueError:
        return []


def _parse_bits(text: str) -> tuple[float, float] | None:
    match = _BITS.match(text)
    if match is None:
        return None
    low, high = float(match[1]), float(match[2])
    return (low, high) if low <= high else (high, low)


def _plain(value: float) -> str:
    if not math.isfinite(value):
        return "0"
    return f"{value:.6f}".rstrip("0").rstrip(".")
