"""Units of sizes, and the size of a value."""

from __future__ import annotations

MEGABYTE = 1_000_000
GIGABYTE = 1_000_000_000
#: Bytes of a float32 value.
FLOAT_BYTES = 4
#: Gigabytes that a request may name: more than any machine has, and a finite number.
MOST_MEMORY = 1e6
