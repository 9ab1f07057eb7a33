"""Read the limits that a user types, kept in the address: size, speed, quality, each with its unit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.insights.recommender import Need
from dashboard.results.selection import Selection

_AMOUNT = re.compile(r"(?P<number>\d+(?:[.,]\d+)?|[.,]\d+)\s*(?P<unit>[^\d.,]*)")
#: A comma before three digits means thousands in some countries and decimals in others.
_EITHER = re.compile(r"\d{1,3},\d{3}(?!\d)")
_SIZES = {
    **{f"{prefix}{end}": 1000.0**power for power, prefix in enumerate("kmgt", 1) for end in ("", "b")},
    **{f"{prefix}{end}": 1024.0**power for power, prefix in enumerate("kmgt", 1) for end in ("i", "ib")},
    "": 1e9,
}
_SPEEDS = dict.fromkeys(("", "tokens/s", "token/s", "tok/s", "t/s", "tps", "tokens per second"), 1.0)
_SHARES = dict.fromkeys(("", "%", "percent", "per cent"), 0.01)


@dataclass(frozen=True)
class Limit:
    """A limit's name on the page, an example, and the value of each unit in bytes, tokens/s or as a share."""

    label: str
    example: str
    units: Mapping[str, float]

    def read(self, text: str) -> tuple[float | None, str]:
        """Return the amount a text means, or None and what is wrong with the text."""
        match = _AMOUNT.fullmatch(text.strip())
        way_out = f"write {self.example}"
        if match is None or (unit := self.units.get(match["unit"].strip().lower())) is None:
            return None, f"“{text}” is not understood: {way_out}"
        if _EITHER.match(match["number"]):
            return None, f"“{text}” may mean thousands or decimals: write it without a comma"
        value = float(match["number"].replace(",", ".")) * unit
        return (value, "") if value > 0 else (None, f"must be above 0: {way_out}")


#: By their key in the address.
LIMITS = {
    "gb": Limit("room for the file", "6 GB or 600 MB", _SIZES),
    "tps": Limit("tokens per second, at least", "20", _SPEEDS),
    "rise": Limit("perplexity rise, at most", "3 %", _SHARES),
}


def need(selection: Selection) -> Need:
    """Read the limits from an address, ignoring invalid ones; see `problems`."""
    given = {key: LIMITS[key].read(text)[0] for key, text in selection.options if key in LIMITS}
    size = given.get("gb")
    return Need(None if size is None else size / 1e9, given.get("tps"), given.get("rise"))


def problems(selection: Selection) -> dict[str, str]:
    """Return what is wrong with invalid limits, by key."""
    read = {key: LIMITS[key].read(text)[1] for key, text in selection.options if key in LIMITS}
    return {key: problem for key, problem in read.items() if problem}
