"""Read the README and docs/ for tests: code blocks, code spans, tables and links."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from dashboard.cli import cli, with_default_command
from evaluator.cli import app

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = (README, *sorted((ROOT / "docs").glob("*.md")))
#: Programs that `python -m` runs, by package.
PROGRAMS = {"dashboard": typer.main.get_command(cli), "evaluator": typer.main.get_command(app)}

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_OPTION = re.compile(r"--[a-z][a-z-]*")
_CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: Path
    language: str
    text: str


def blocks(document: Path, language: str) -> list[Block]:
    """Return the fenced blocks in a language; empty for blocks without a language."""
    found = _BLOCK.findall(document.read_text(encoding="utf-8"))
    return [Block(document, named, text) for named, text in found if named == language]


def prose(document: Path) -> str:
    """Return a document without its fenced blocks."""
    return _BLOCK.sub("", document.read_text(encoding="utf-8"))


def spans(document: Path) -> list[str]:
    """Return the code spans outside fenced blocks, with a table's escaped bars unescaped."""
    return [span.replace(r"\|", "|") for span in _SPAN.findall(prose(document))]


def links(document: Path) -> list[str]:
    """Return the targets of links."""
    return _LINK.findall(prose(document))


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document, as GitHub derives them from headings."""
    headings = _HEADING.findall(prose(document))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(document: Path, *head: str) -> list[list[str]]:
    """Return the rows, as lists of cells, of the table with these column headings."""
    lines = iter(document.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if _cells(line) == list(head):
            next(lines)
            rows = itertools.takewhile(lambda row: row.startswith("|"), lines)
            return [_cells(row) for row in rows]
    raise AssertionError(f"{document.name} has no table of {head}")


def _cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in _CELLS.split(line)[1:-1]]


def command_lines(document: Path) -> list[list[str]]:
    """Return the commands in blocks without a language, split as by a shell."""
    lines = [line for block in blocks(document, "") for line in block.text.replace("\\\n", " ").splitlines()]
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def usages() -> Iterator[tuple[Path, str, set[str]]]:
    """Yield code spans that show a command: document, command such as `evaluator run`, and its flags."""
    for document in DOCUMENTS:
        for span in spans(document):
            if re.match(r"python -m \w+ ", span):
                yield document, " ".join(command_of(span.split()[2:])), set(_OPTION.findall(span))


def command_of(words: Sequence[str]) -> tuple[str, str]:
    """Return program and command of the words after `python -m`."""
    program, *rest = words
    if program == "dashboard":
        rest = with_default_command(list(rest))
    return program, rest[0]


def options_of(program: str, command: str) -> set[str]:
    """Return every flag of a command except `--help`."""
    parameters = PROGRAMS[program].commands[command].params
    flags = {flag for item in parameters for flag in (*item.opts, *item.secondary_opts)}
    return {flag for flag in flags if flag.startswith("--")} - {"--help"}


def flags_in(text: str) -> set[str]:
    """Return the flags in a text."""
    return set(_OPTION.findall(text))
