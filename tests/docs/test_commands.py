"""The real command lines accept the documents' commands, and the README lists every flag."""

from __future__ import annotations

import re

import pytest
from documents import (
    DOCUMENTS,
    PROGRAMS,
    README,
    ROOT,
    command_lines,
    command_of,
    flags_in,
    options_of,
    spans,
    table,
    usages,
)

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
HELP = set(re.findall(r"^([a-z-]+):.*?## ", MAKEFILE, re.MULTILINE))
LINES = [(document, line) for document in DOCUMENTS for line in command_lines(document)]


@pytest.mark.parametrize(("document", "words"), LINES, ids=[f"{d.name}-{' '.join(w[:4])}" for d, w in LINES])
def test_commands_in_blocks_are_parsed(document, words):
    assert words[0] in {"make", "python", "pip"}, f"{document.name} has a block of something else"
    if words[:2] != ["python", "-m"]:
        return
    program, command = command_of(words[2:])
    arguments = words[words.index(command) + 1 :] if command in words else words[3:]
    PROGRAMS[program].commands[command].make_context(command, arguments)


def test_blocks_hold_commands_of_both_programs():
    assert {words[2] for _, words in LINES if words[:2] == ["python", "-m"]} == set(PROGRAMS)


@pytest.mark.parametrize(("document", "used", "flags"), list(usages()))
def test_commands_in_sentences_exist_with_their_flags(document, used, flags):
    assert flags <= options_of(*used.split()), f"{document.name}: {used}"


def test_readme_lists_every_command_with_every_flag():
    """A row that does not begin with a command continues the row above."""
    listed: dict[str, set[str]] = {}
    used = ""
    for cell, *_ in table(README, "command", "what it does"):
        words = cell.strip("`").split()
        if words[:2] == ["python", "-m"]:
            used = " ".join(command_of(words[2:]))
        listed.setdefault(used, set()).update(flags_in(cell))
    known = {
        f"{program} {command}": options_of(program, command)
        for program, group in PROGRAMS.items()
        for command in group.commands
    }
    assert listed == known


def test_flags_in_documents_are_flags_of_some_command():
    """Flags of other programs are written with the program, as in `llama-perplexity --kl-divergence`."""
    known = {
        flag for name, group in PROGRAMS.items() for each in group.commands for flag in options_of(name, each)
    }
    for document in DOCUMENTS:
        own = [span for span in spans(document) if span.startswith(("--", "python -m", "inspect", "run "))]
        assert set().union(*map(flags_in, own)) <= known, document.name


def test_make_targets_in_documents_are_in_its_help():
    named = {
        word.split()[1]
        for document in DOCUMENTS
        for word in [*spans(document), *(" ".join(line) for line in command_lines(document))]
        if word.startswith("make ")
    }
    assert named <= HELP
    assert {"run", "test", "demo", "lint", "bench"} <= named


def test_every_make_target_says_what_it_does():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert targets == HELP
