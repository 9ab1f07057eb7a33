"""Read the limits that a user types, kept in the address: memory, context, speed, quality, each with its unit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.insights.advising import Need
from dashboard.results.selection import Selection

_AMOUNT = re.compile(r"(?P<number>\d+(?:[.,]\d+)?|[.,]\d+)\s*(?P<unit>[^\d.,]*)")
#: A comma or a point before three digits of a whole number.
_THOUSANDS = re.compile(r"(?<=\d)[.,](?=\d{3}(?!\d))")
#: A comma before three digits means thousands in some countries and decimals in others.
_EITHER = re.compile(r"\d{1,3},\d{3}(?!\d)")
_SIZES = {
    **{f"{prefix}{end}": 1000.0**power for power, prefix in enumerate("kmgt", 1) for end in ("", "b")},
    **{f"{prefix}{end}": 1024.0**power for power, prefix in enumerate("kmgt", 1) for end in ("i", "ib")},
    "": 1e9,
}
_CONTEXTS = {
    f"{prefix}{end}": 1024.0**power
    for power, prefix in enumerate(("", "k", "m"))
    for end in ("", "token", "tokens")
}
_SPEEDS = {
    **{
        f"{what}/{time}": 1.0
        for what in ("", "t", "tok", "token", "tokens")
        for time in ("s", "sec", "second")
    },
    **dict.fromkeys(("", "tps", "tokenspersecond", "persecond"), 1.0),
}
_SHARES = dict.fromkeys(("", "%", "percent"), 0.01)


@dataclass(frozen=True)
class Limit:
    """A limit's name on the page, an example, and the value of each unit in bytes, tokens, tokens/s or as a share.

    Units are in lower case and without spaces. Amounts that are `whole` may have commas or points for thousands.
    """

    label: str
    example: str
    units: Mapping[str, float]
    whole: bool = False

    def read(self, text: str) -> tuple[float | None, str]:
        """Return the amount a text means, or None and what is wrong with the text."""
        plain = _THOUSANDS.sub("", text) if self.whole else text
        match = _AMOUNT.fullmatch(plain.strip())
        way_out = f"write {self.example}"
        if match is None or (unit := self.units.get("".join(match["unit"].split()).lower())) is None:
            return None, f"“{text}” is not understood: {way_out}"
        if _EITHER.match(match["number"]):
            return None, f"“{text}” may mean thousands or decimals: write it without a comma"
        value = float(match["number"].replace(",", ".")) * unit
        return (
            (value, "")
            if value >= (1 if self.whole else 0) and value
            else (None, f"must be above 0: {way_out}")
        )


#: By their key in the address.
LIMITS = {
    "gb": Limit("Memory ≤", "6 GB or 600 MB", _SIZES),
    "context": Limit("Context", "4k or 4,096", _CONTEXTS, whole=True),
    "tps": Limit("Tokens/s ≥", "20", _SPEEDS),
    "rise": Limit("Perplexity rise ≤", "3 %", _SHARES),
}


def need(selection: Selection) -> Need:
    """Read the limits from an address, ignoring invalid ones; see `problems`."""
    given = {key: LIMITS[key].read(text)[0] for key, text in selection.options if key in LIMITS}
    size, context = given.get("gb"), given.get("context")
    return Need(
        None if size is None else size / 1e9,
        given.get("tps"),
        given.get("rise"),
        None if context is None else round(context),
    )


def problems(selection: Selection) -> dict[str, str]:
    """Return what is wrong with invalid limits, by key."""
    read = {key: LIMITS[key].read(text)[1] for key, text in selection.options if key in LIMITS}
    return {key: problem for key, problem in read.items() if problem}
