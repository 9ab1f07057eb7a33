"""Units of sizes."""

from __future__ import annotations

MEGABYTE = 1_000_000
GIGABYTE = 1_000_000_000
#: Gigabytes that a request may name: more than any machine has, and a finite number.
MOST_MEMORY = 1e6
