"""Format numbers, the same way in every view."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeGuard

from evaluator.results.manifest import Manifest
from evaluator.support.units import MEGABYTE

MINUS = "−"
#: Written for a value that is missing, infinite or not a number.
NO_VALUE = "n/a"
#: Units of file sizes: the smallest size written in it, its bytes, its name, and decimals.
_UNITS = (
    (1_000_000 * MEGABYTE, 1_000_000 * MEGABYTE, "TB", 2),
    (1000 * MEGABYTE, 1000 * MEGABYTE, "GB", 2),
    (MEGABYTE // 10, MEGABYTE, "MB", 1),
    (1000, 1000, "kB", 1),
    (0, 1, "bytes", 0),
)
_GIGABYTE, _LEAST_IN_GIGABYTES = 1000.0 * MEGABYTE, 10.0 * MEGABYTE
#: The least size that is written in gigabytes. It is of one page: the files of one folder are written in one unit.
_GIGABYTES_FROM: ContextVar[float] = ContextVar("gigabytes_from", default=_GIGABYTE)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
#: The spaces inside a quantity.
_INSIDE = re.compile(r"(?<=\d) (?=(?:%|×|MB|GB|ms|nats|bits?|tokens/s)(?!\w)|± )|(?<=\d ±) ")
#: Powers of ten within which numbers are written without an exponent.
_LEAST_POWER, _MOST_POWER = -5, 6
#: exp() of larger values is not computed: it overflows at 709.
_MOST_LOG = 700.0
#: Most decimals of a change in per cent with its error.
_MOST_PLACES = 2


def number(value: float | None, digits: int = 3) -> str:
    """Write a value with `digits` significant digits, and an exponent if very large or small; `n/a` for none."""
    if not _is_number(value):
        return NO_VALUE
    if value == 0:
        return "0"
    power = _power(value, digits)
    if not _LEAST_POWER <= power <= _MOST_POWER:
        return _with_exponent(value, digits)
    return _fixed(value, max(0, digits - 1 - power))


def signed(value: float | None, digits: int = 3) -> str:
    """Write a value like `number`, with a plus sign if it is positive."""
    return ("+" if _is_number(value) and value > 0 else "") + number(value, digits)


def with_error(value: float | None, error: float | None, *, plus: bool = False) -> str:
    """Write `value ± error`, both to the error's second significant digit; the value alone without a finite error.

    With `plus` a positive value that does not round to zero has a plus sign.
    """
    if not _is_number(value) or not _is_number(error) or error <= 0:
        return _plus(number(value), plus and _is_number(value) and value > 0)
    power = _power(error, 2)
    if power < _LEAST_POWER or _power(max(abs(value), error), 2) > _MOST_POWER:
        return f"{_plus(number(value), plus and value > 0)} ± {number(error, 2)}"
    places = max(0, 1 - power)
    return f"{_plus(_fixed(value, places), plus and value > 0)} ± {_fixed(error, places)}"


def ends(values: Sequence[float], digits: int = 3) -> str:
    """Write the lowest and the highest value as `1.2–3.4`, or one number if they read the same."""
    return "–".join(dict.fromkeys(number(end(values), digits) for end in (min, max)))


def span(low: str, high: str) -> str:
    """Write two quantities as `4.80–5.00 bits`, a unit that both have once; one of them if they read the same."""
    value, _, unit = low.rpartition(" ")
    return high if low == high else f"{value if high.endswith(f' {unit}') else low}–{high}"


def percent(fraction: float | None, places: int = 1) -> str:
    """Write a share of 1 as per cent; less than all gets the decimals, at most two, that keep it below 100 %."""
    if not _is_number(fraction):
        return NO_VALUE
    shown = 100 * fraction
    if 0.99 < fraction < 1:
        while places < _MOST_PLACES and round(shown, places) >= 100:
            places += 1
        shown = min(shown, 100 - 10.0**-places)
    return f"{_rounded(shown, places)} %"


def percent_change(log_ratio: float | None, places: int = 2, half: float = math.inf) -> str:
    """Write a natural log ratio as a signed change in per cent, with ± its 95 % half-width if that is finite.

    A change that rounds to zero has no sign. An error below half of the last decimal gets more decimals, at most two,
    and is rounded up to 0.01 %; a change and an error that both read as zero are `no change within 0.01 %`.
    """
    if not _is_number(log_ratio):
        return NO_VALUE
    if log_ratio > _MOST_LOG:
        return f"more than +{_with_exponent(100 * math.exp(_MOST_LOG), 2)} %"
    percent, error = 100 * math.expm1(log_ratio), 100 * half * math.exp(log_ratio)
    if not _is_number(error):
        return f"{_plus(_rounded(percent, places), log_ratio > 0)} %"
    while places < _MOST_PLACES and 0 < error < 0.5 * 10**-places:
        places += 1
    smallest = 10**-places
    if max(abs(percent), error) < 0.5 * smallest:
        return f"no change within {_fixed(smallest, places)} %"
    least = smallest if error > 0 else 0.0
    return f"{_plus(_rounded(percent, places), log_ratio > 0)} ± {_rounded(max(error, least), places)} %"


def first_up(text: str) -> str:
    """Write a text with a capital first letter, as a sentence begins; the others stay as they are."""
    return f"{text[:1].upper()}{text[1:]}"


@contextmanager
def in_one_unit(sizes: Iterable[float | None]) -> Iterator[None]:
    """Write all sizes from 10 MB up in gigabytes inside, if the largest of `sizes` (bytes) takes one or more."""
    large = max((value for value in sizes if _is_number(value)), default=0.0) >= _GIGABYTE
    token = _GIGABYTES_FROM.set(_LEAST_IN_GIGABYTES if large else _GIGABYTE)
    try:
        yield
    finally:
        _GIGABYTES_FROM.reset(token)


def size(n_bytes: float | None) -> str:
    """Write bytes in decimal units: megabytes from 0.1 MB, gigabytes from 1 GB, or as `in_one_unit` says."""
    if not _is_number(n_bytes):
        return NO_VALUE
    if _GIGABYTES_FROM.get() <= abs(n_bytes) < _GIGABYTE:
        return f"{_fixed(n_bytes / _GIGABYTE, 3)} GB"
    _, unit, name, places = next(unit for unit in _UNITS if abs(n_bytes) >= unit[0])
    return f"{_rounded(n_bytes / unit, places)} {name}"


def bits(value: float | None) -> str:
    """Write bits per weight."""
    return f"{_rounded(value, 2)} bits" if _is_number(value) else NO_VALUE


def one_decimal(value: float | None) -> str:
    """Write a value with one decimal, as bits per weight in a sentence."""
    return _rounded(value, 1) if _is_number(value) else NO_VALUE


def count(value: int) -> str:
    """Write an integer with thousands separators."""
    return f"{value:,}"


def plural(count: int, noun: str) -> str:
    """Write `1 file` or `3 files`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listing(names: list[str], limit: int = 4) -> str:
    """Write `a, b and c`; names beyond `limit` are only counted."""
    if not names:
        return "none"
    if len(names) > limit:
        return f"{', '.join(names[: limit - 1])} and {len(names) - limit + 1} more"
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def times(ratio: float | None) -> str:
    """Write `1.23 ×`; empty if the ratio is missing or within half a per cent of 1."""
    return f"{number(ratio)} ×" if _is_number(ratio) and abs(ratio - 1) >= 0.005 else ""


def device_name(name: str) -> str:
    """Write a kind of device the usual way: `CPU`, `CUDA`."""
    return name.upper() if name in {"cpu", "cuda"} else name


def device(manifest: Manifest, name: str = "") -> str:
    """Name a kind of device (by default the manifest's), its chip, and the precision if it is not float32."""
    name = name or manifest.device
    chip = ", ".join(dict.fromkeys(manifest.machine.gpus)) if name == "cuda" else manifest.machine.cpu
    text = f"{device_name(name)}{f' ({chip})' if chip else ''}"
    return f"{text}, half precision" if manifest.precisions.get(name) == "float16" else text


def _is_number(value: float | None) -> TypeGuard[float]:
    """Return whether there is a finite value."""
    return value is not None and math.isfinite(value)


def _power(value: float, digits: int) -> int:
    """Return the power of ten of a non-zero value after rounding to `digits` significant digits."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def _plus(text: str, positive: bool) -> str:
    """Add a plus sign to a positive value that does not read as zero."""
    return f"+{text}" if positive and any(digit in text for digit in "123456789") else text


def _rounded(value: float, places: int) -> str:
    """Write a value with `places` decimals, or with an exponent if it is too large for that."""
    fits = value == 0 or _power(value, 3) <= _MOST_POWER
    return _fixed(value, places) if fits else _with_exponent(value, 3)


def _fixed(value: float, places: int) -> str:
    """Write a value with `places` decimals; a value that rounds to 0 has no sign."""
    text = f"{value:.{places}f}"
    return text.replace("-", MINUS if any(digit in text for digit in "123456789") else "")


def _with_exponent(value: float, digits: int) -> str:
    """Write a value as 1.23 × 10⁴⁵."""
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa} × 10{str(int(power)).translate(_SUPERSCRIPTS)}".replace("-", MINUS)


def unbroken(text: str) -> str:
    """Keep numbers, their errors and their units on one line."""
    return _INSIDE.sub("\u00a0", text)
