"""Units of sizes, the size of a value, and numbers with a noun."""

from __future__ import annotations

MEGABYTE = 1_000_000
GIGABYTE = 1_000_000_000
#: Bytes of a float32 value.
FLOAT_BYTES = 4
#: Gigabytes that a request may name: more than any machine has, and a finite number.
MOST_MEMORY = 1e6


def counted(number: float, noun: str) -> str:
    """Return a number with its noun, such as `1 window` and `2,000 windows`."""
    shown = f"{int(number):,}" if number == int(number) else f"{number:,.1f}"
    return f"{shown} {noun}" if number == 1 else f"{shown} {noun}s"


def size_in_words(n_bytes: int) -> str:
    """Return a size such as `3.1 GB`, or `37 MB` below one gigabyte."""
    if n_bytes >= GIGABYTE:
        return f"{n_bytes / GIGABYTE:,.1f} GB"
    return f"{n_bytes / MEGABYTE:,.0f} MB" if n_bytes >= MEGABYTE else "less than 1 MB"
