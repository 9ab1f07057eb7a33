"""Units of sizes."""

from __future__ import annotations

MEGABYTE = 1_000_000
GIGABYTE = 1_000_000_000
