"""Define the filters as a frozen `Selection`, read from and written to the URL."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

import polars as pl

_BITS = re.compile(r"^(\d{1,3}(?:\.\d{1,6})?)-(\d{1,3}(?:\.\d{1,6})?)$")
_LAYER = re.compile(r"^(-1|\d{1,4})$")
_BIN = re.compile(r"^[0-4]$")
_LONGEST_NAME = 200
#: Keys whose values are lists of names.
_LONGEST = {"columns": 4000}
#: Keys in the URL, and the field of `Selection` each one sets.
_NAMES = {
    "model": "models",
    "device": "devices",
    "method": "methods",
    "quant": "quants",
    "domain": "domains",
    "role": "roles",
    "only": "only",
    "pick": "picked",
}
_NUMBERS = {"bin": ("bins", _BIN), "layer": ("layers", _LAYER)}
#: Keys in the URL of all sets, and the field each one sets.
FIELDS = _NAMES | {key: name for key, (name, _) in _NUMBERS.items()}
_ORDER = (
    "model",
    "device",
    "method",
    "quant",
    "bits",
    "domain",
    "bin",
    "layer",
    "role",
    "only",
    "pick",
    "engine",
)

TokenFilter = tuple[frozenset[str], frozenset[int]]


@dataclass(frozen=True)
class Selection:
    """Filters and highlighted variants; an empty set means all.

    `bits` is an inclusive range in bits per weight. `domains` and `bins` restrict the tokens behind every
    statistic: texts by name, and bins 0–4 of the *baseline's* confidence. `layers` and `roles` restrict the
    layer frames, `only` the variants by id. `picked` variants are highlighted and filter nothing. `options`
    are the views' switches, as sorted pairs of key and value. `engine` is the one whose times and losses are shown;
    empty means the folder's default.
    """

    models: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    quants: frozenset[str] = frozenset()
    bits: tuple[float, float] | None = None
    domains: frozenset[str] = frozenset()
    bins: frozenset[int] = frozenset()
    layers: frozenset[int] = frozenset()
    roles: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    picked: frozenset[str] = frozenset()
    options: tuple[tuple[str, str], ...] = ()
    devices: frozenset[str] = frozenset()
    engine: str = ""

    @classmethod
    def of(
        cls,
        models: Iterable[str] | None = None,
        methods: Iterable[str] | None = None,
        quants: Iterable[str] | None = None,
        bits: tuple[float, float] | None = None,
        *,
        devices: Iterable[str] = (),
        domains: Iterable[str] = (),
        bins: Iterable[int] = (),
        layers: Iterable[int] = (),
        roles: Iterable[str] = (),
        only: Iterable[str] = (),
        picked: Iterable[str] = (),
        options: Mapping[str, str] | None = None,
        engine: str = "",
    ) -> Selection:
        """Build a selection from any iterables of names."""
        return cls(
            frozenset(models or ()),
            frozenset(methods or ()),
            frozenset(quants or ()),
            bits,
            frozenset(domains),
            frozenset(bins),
            frozenset(layers),
            frozenset(roles),
            frozenset(only),
            frozenset(picked),
            tuple(sorted((options or {}).items())),
            frozenset(devices),
            engine,
        )

    @classmethod
    def from_query(cls, query: str | None, option_keys: Collection[str] = ()) -> Selection:
        """Read `?model=…&method=…&bits=3-5&…`; unknown or malformed parts are ignored.

        `option_keys` are the keys that views declare; the last value of a repeated option, or engine, counts.
        """
        fields: dict[str, set[str | int]] = {}
        options: dict[str, str] = {}
        bits: tuple[float, float] | None = None
        engine = ""
        for key, value in pairs(query):
            if not value or len(value) > _LONGEST.get(key, _LONGEST_NAME):
                continue
            if key in _NAMES:
                fields.setdefault(_NAMES[key], set()).add(value)
            elif key in _NUMBERS and _NUMBERS[key][1].match(value):
                fields.setdefault(_NUMBERS[key][0], set()).add(int(value))
            elif key == "bits":
                bits = _parse_bits(value) or bits
            elif key == "engine":
                engine = value
            elif key in option_keys:
                options[key] = value
        return cls.of(bits=bits, options=options, engine=engine, **fields)  # type: ignore[arg-type]  # names and types from the tables

    def to_query(self) -> str:
        """Write the query string without `?`, in a fixed order: equal selections give equal links."""
        values: dict[str, list[str]] = {key: sorted(getattr(self, name)) for key, name in _NAMES.items()}
        for key, (name, _) in _NUMBERS.items():
            values[key] = [str(number) for number in sorted(getattr(self, name))]
        if self.bits is not None:
            values["bits"] = [f"{_plain(self.bits[0])}-{_plain(self.bits[1])}"]
        if self.engine:
            values["engine"] = [self.engine]
        pairs = [(key, value) for key in _ORDER for value in values.get(key, [])]
        return urlencode([*pairs, *self.options], quote_via=quote)

    @property
    def filters_tokens(self) -> bool:
        """Whether only some tokens are selected."""
        return bool(self.domains or self.bins)

    @property
    def token_filter(self) -> TokenFilter:
        """The part of the selection that decides which tokens count."""
        return self.domains, self.bins

    def expression(self) -> pl.Expr:
        """Return the filter of the variants frame as an expression; baselines always pass."""
        passes = pl.lit(value=True)
        for column, names in (
            ("model", self.models),
            ("device", self.devices),
            ("method", self.methods),
            ("quant", self.quants),
            ("variant_id", self.only),
        ):
            if names:
                passes = passes & pl.col(column).is_in(sorted(names))
        if self.bits is not None:
            passes = passes & pl.col("bits_per_weight").is_between(*self.bits)
        return passes | pl.col("is_baseline")


#: All variants and tokens, nothing highlighted.
EVERYTHING = Selection()


def pairs(query: str | None) -> list[tuple[str, str]]:
    """Return the keys and values of a query; none if it has too many."""
    try:
        return parse_qsl((query or "").removeprefix("?"), max_num_fields=2000)
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
