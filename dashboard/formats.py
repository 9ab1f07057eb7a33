"""How numbers are written: one place, so that the same quantity reads the same in every view."""

from __future__ import annotations

import math

from evaluator.frames import MEGABYTE
from evaluator.manifest import Manifest

MINUS = "−"
_GIGABYTE = 1000 * MEGABYTE


def number(value: float | None, digits: int = 3) -> str:
    """`digits` significant digits, a real minus sign, no exponent for everyday sizes; n/a where there is none."""
    if value is None or not math.isfinite(value):
        return "n/a"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    form = f".{digits - 1}e" if magnitude < -5 else f".{max(0, digits - 1 - magnitude)}f"
    return format(value, form).replace("-", MINUS)


def signed(value: float, digits: int = 3) -> str:
    """Like `number`, with a plus sign where it is positive."""
    return ("+" if value > 0 else "") + number(value, digits)


def with_error(value: float, error: float) -> str:
    """Write `value ± error`, both to the error's second significant digit; the value alone for no finite error."""
    if not math.isfinite(error) or error <= 0:
        return number(value)
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{places}f} ± {error:.{places}f}".replace("-", MINUS)


def percent(fraction: float, places: int = 1) -> str:
    """Return a share of 1 as per cent."""
    return f"{100 * fraction:.{places}f} %".replace("-", MINUS)


def percent_change(log_ratio: float, places: int = 2) -> str:
    """Return a natural log ratio as a signed change in per cent."""
    return f"{100 * math.expm1(log_ratio):+.{places}f} %".replace("-", MINUS)


def size(n_bytes: float) -> str:
    """Bytes in decimal megabytes, gigabytes from 1 GB on."""
    if n_bytes >= _GIGABYTE:
        return f"{n_bytes / _GIGABYTE:.2f} GB"
    return f"{n_bytes / MEGABYTE:.1f} MB"


def bits(value: float) -> str:
    """Bits per weight."""
    return f"{value:.2f} bits"


def count(value: int) -> str:
    """Return an integer with thousands separators."""
    return f"{value:,}"


def listing(names: list[str], limit: int = 4) -> str:
    """Return `a, b and c`; beyond `limit` the rest is counted."""
    if not names:
        return "none"
    if len(names) > limit:
        return f"{', '.join(names[: limit - 1])} and {len(names) - limit + 1} more"
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def times(ratio: float) -> str:
    """Return `1.23 ×`; empty where the ratio is 1 to within half a per cent."""
    return "" if abs(ratio - 1) < 0.005 else f"{number(ratio)} ×"


def device_name(name: str) -> str:
    """Write a kind of device as people do."""
    return name.upper() if name in {"cpu", "cuda"} else name


def device(manifest: Manifest, name: str = "") -> str:
    """Name a kind of device (the manifest's own), the chip, and the precision where it is not float32."""
    name = name or manifest.device
    chip = ", ".join(dict.fromkeys(manifest.machine.gpus)) if name == "cuda" else manifest.machine.cpu
    text = f"{device_name(name)}{f' ({chip})' if chip else ''}"
    return f"{text}, half precision" if manifest.precisions.get(name) == "float16" else text
