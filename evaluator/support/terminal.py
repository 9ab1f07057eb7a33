"""Print lines and tables. Texts may come from untrusted files, so markup and escape sequences have no effect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import ProgressColumn, Task
from rich.table import Column, Table
from rich.text import Text

from evaluator.support.errors import one_line

#: A line or several lines.
Cell = str | Sequence[str]


def say(console: Console, message: str, style: str = "") -> None:
    """Print a message as one line, without wrapping."""
    console.print(one_line(message), style=style, markup=False, highlight=False, soft_wrap=True)


def table_of(
    headers: Sequence[str], rows: Iterable[Sequence[Cell]], title: Cell = (), caption: Cell = ()
) -> Table:
    """Return a table of `rows`, each with a cell per header."""
    table = Table(*headers)
    table.title = _text(title, "table.title") if title else None
    table.caption = _text(caption, "table.caption") if caption else None
    for row in rows:
        table.add_row(*map(_text, row))
    return table


class Description(ProgressColumn):
    """A task's description."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        """Return the description on one line."""
        return _text(task.description)


def _text(cell: Cell, style: str = "") -> Text:
    lines = [cell] if isinstance(cell, str) else cell
    return Text("\n".join(map(one_line, lines)), style)
