"""`make bench`: reading, tokenizing, scoring, decoding, kernels; `--write FILE` keeps the tables as Markdown."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from decoding import decoding_tables
from kernels import kernels_table
from reading import reading_table
from rich.console import Console
from rich.table import Table
from scoring import scoring_table
from tokenization import tokenization_table

from evaluator.runtime.machine import describe_machine

MARK = '<!-- measured: everything below is written by `make bench ARGS="--write docs/performance.md"` -->'


def markdown(table: Table) -> str:
    """A table in Markdown, its title as a heading."""
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    head = [str(column.header) for column in table.columns]
    lines = [f"## {table.title}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in zip(*cells, strict=True)]
    return "\n".join(lines) + "\n"


def main() -> None:
    console = Console(width=200)
    benchmarks = {
        "decoding": lambda: decoding_tables(console),
        "scoring": lambda: [scoring_table()],
        "kernels": lambda: [kernels_table()],
        "reading": lambda: [reading_table()],
        "tokenizing": lambda: [tokenization_table()],
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=tuple(benchmarks), help="one of them")
    parser.add_argument("--write", type=Path, help="replace the measured part of this file")
    arguments = parser.parse_args()
    tables: list[Table] = []
    for name, measure in benchmarks.items():
        if arguments.only in (None, name):
            measured = measure()
            console.print(*measured)
            tables += measured
    if arguments.write:
        machine = describe_machine()
        where = f"{datetime.now(UTC):%Y-%m-%d}, {machine.cpu}, {machine.logical_cores} cores."
        there = arguments.write.read_text(encoding="utf-8") if arguments.write.is_file() else ""
        text = "\n".join([there.split(MARK)[0].rstrip(), "", MARK, "", where, "", *map(markdown, tables)])
        arguments.write.write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
