"""Write the table of all columns as Markdown: `python -m evaluator.metrics.columns_table > docs/columns.md`."""

from __future__ import annotations

import sys

from evaluator.metrics import Family, metric_families
from evaluator.metrics.columns import Column

_HEAD = """# Columns

The columns of `variants.parquet`, in the groups of the Explore page. The metric families
(`evaluator/metrics/families/`) define them. This file is generated: `python -m evaluator.metrics.columns_table`.
How errors are computed, and when to use which: [statistics](statistics.md#errors).
"""
_OVER = {
    "tokens": "Computed over any subset of the tokens: all of them, one text (`domains.parquet`) or one bin of "
    "the baseline's confidence (`confidence.parquet`); recomputed under the dashboard's filters.",
    "all tokens": "Computed only over all tokens of a variant; null if tokens are filtered.",
    "file": "A property of the file or the run, not of its tokens.",
}
_UNITS = {
    "": "",
    "share": "0–1",
    "points": "percentage points",
    "1/MB": "1 / 10⁶ bytes",
    "ms": "ms per token",
}


def table() -> str:
    """Return the document, with a table of columns per family."""
    return "\n".join([_HEAD, *(_section(family) for family in metric_families())])


def _section(family: Family) -> str:
    heads = ("column", "name", "meaning", "unit", "better", "error", "compared token by token")
    lines = [heads, ["---"] * len(heads), *(_cells(column) for column in family.own)]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"## {family.title}\n\n{_OVER[family.over]}\n\n{rows}\n"


def _cells(column: Column) -> list[str]:
    errors = ", ".join(f"`{error.name}`" for error in list(column.with_errors())[1:])
    unit = _UNITS.get(column.unit, column.unit)
    paired = f"by `{column.tokens}`" if column.tokens else ""
    return [f"`{column.name}`", column.label, column.meaning, unit, column.better or "", errors, paired]


if __name__ == "__main__":
    sys.stdout.write(table())
