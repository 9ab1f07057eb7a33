"""Turn a limit of memory into a size of file: what running takes beside the file is left out."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from dashboard.insights.answers import Answers
from dashboard.style import formats


@dataclass(frozen=True)
class MemoryLine:
    """Where a limit of memory lies among file sizes, in bytes.

    `at` is the size up to which files fit, None without a limit; `extra` is what cache and buffers take beside the
    file (the median of the files), 0 if that was not measured; `context` is what it is counted for, in tokens.
    """

    at: float | None
    extra: float
    context: int | None
    limit: float | None = None

    @property
    def in_words(self) -> str:
        """The limit, and the size of file that fits if that differs; empty without a limit."""
        if self.limit is None or self.at is None:
            return ""
        if self.context is None:
            return f"{formats.size(self.limit)}: the file alone"
        left = self.limit - self.extra
        fits = f"files up to {formats.size(left)}" if left > 0 else "no room for a file"
        return f"{formats.size(self.limit)} at {formats.count(self.context)} tokens: {fits}"


def memory_line(answers: Answers) -> MemoryLine:
    """Return the line of the user's memory, between the largest file that fits and the smallest that does not."""
    among, budget = answers.among, answers.need.budget_gb
    least: dict[str, tuple[float, float]] = {}  # bytes of each file, alone and running
    for item in among.ready:
        name, size = str(item.row["variant_id"]), float(item.row["size_bytes"])
        if among.context is None or item.memory is not None:
            least[name] = size, min(item.n_bytes, least.get(name, (size, item.n_bytes))[1])
    extra = (
        median(total - size for size, total in least.values()) if least and among.context is not None else 0.0
    )
    context = among.context if least else None
    if budget is None:
        return MemoryLine(None, extra, context)
    limit = 1e9 * budget
    at = limit - extra
    fits = max((size for size, total in least.values() if total <= limit), default=0.0)
    above = min((size for size, total in least.values() if total > limit), default=float("inf"))
    if fits < above and not fits <= at < above:
        at = (fits + above) / 2 if above < float("inf") else fits
    return MemoryLine(max(at, 0.0), extra, context, limit)
