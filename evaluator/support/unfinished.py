"""What unfinished files are called."""

from __future__ import annotations

#: Suffix of every file and folder that is not finished.
PARTIAL = ".partial"
