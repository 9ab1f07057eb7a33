"""Every option of the command line can be set from the form, and no value can become another argument."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer

from dashboard.local import LocalError
from dashboard.local.command import arguments_of, for_screen, shown
from dashboard.local.options import Options
from evaluator.cli import app
from evaluator.support.paths import typed_path

GROUP = typer.main.get_command(app)
#: A value of each kind, and what the command line makes of it.
EXAMPLES = {"flag": (True, True), "integer": ("64", 64), "number": ("2.5", 2.5), "text": ("x=y", "x=y")}
HOSTILE = [
    "; touch /tmp/pwned",
    "$(touch /tmp/pwned)",
    "`id`",
    "a b  c",
    "--force",
    "-o",
    "--",
    "'\"\\",
    "m=a\n--force",
    "*.gguf",
    "~root",
    "\u202eevil",
    "=--force",
]


def parsed(arguments: list[str]) -> dict[str, object]:
    """Return what the real command line reads in arguments."""
    name, *rest = arguments
    command = GROUP.commands[name]  # type: ignore[attr-defined]
    return dict(command.make_context(name, list(rest)).params)


def arguments(options: Options, name: str, values: object) -> list[str]:
    return arguments_of(*options.command(name), values)


@pytest.mark.parametrize("name", ["run", "demo"])
def test_every_option_of_the_command_line_is_reached(options: Options, name: str) -> None:
    known = {parameter.name: parameter for parameter in GROUP.commands[name].params}  # type: ignore[attr-defined]
    described = {option.name: option for option in options.command(name)[1].options}
    assert set(described) == set(known)
    for key, option in described.items():
        given, expected = EXAMPLES.get(option.kind, ("some/folder", Path("some/folder")))
        if key == "progress":
            given = expected = "json"
        value = [given, given] if option.repeated else given
        read = parsed(arguments(options, name, {key: value}))[key]
        assert read == ([expected, expected] if option.repeated else expected), key


def test_all_at_once(options: Options) -> None:
    values = {
        "comparison": "c.toml",
        "baseline": "b.gguf",
        "variant": ["main=m-*.gguf", "un=u.gguf"],
        "text": ["builtin", "wiki=w.txt"],
        "out": "o",
        "chunks": "4",
        "force": True,
        "no_speed": False,
        "engines": "",
    }
    assert arguments(options, "run", values) == [
        "run",
        "--baseline=b.gguf",
        "--variant=main=m-*.gguf",
        "--variant=un=u.gguf",
        "--text=builtin",
        "--text=wiki=w.txt",
        "--out=o",
        "--chunks=4",
        "--force",
        "--",
        "c.toml",
    ]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_one_value(options: Options, value: str) -> None:
    values = {
        "comparison": value,
        "baseline": value,
        "variant": [value],
        "text": [value, value],
        "out": value,
    }
    made = arguments(options, "run", values)
    read = parsed(made)
    text = value.strip()
    assert (read["comparison"], read["baseline"], read["out"]) == (text, text, typed_path(text))
    assert read["variant"] == [text]
    assert read["text"] == [text, text]
    assert read["force"] is False
    assert shlex.split(shown(made)) == ["python", "-m", "evaluator", *made]


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        "run",
        {"no_such": "x"},
        {"--force": True},
        {"baseline": {"a": 1}},
        {"baseline": 3},
        {"baseline": ["a", "b"]},
        {"baseline": "a\0b"},
        {"baseline": "x" * 5000},
        {"variant": ["m=x"] * 501},
        {"context": "64; rm"},
        {"context": "6.5"},
        {"memory": "much"},
        {"force": "yes"},
        {"force": ["x"]},
    ],
)
def test_what_is_not_a_value_is_refused(options: Options, values: object) -> None:
    with pytest.raises(LocalError):
        arguments(options, "run", values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"chunks": "zero"}, "Windows per text: zero is not a whole number"),
        ({"memory": "much"}, "Memory: much is not a number"),
        ({"no_speed": "yes"}, "No speed: is either on or off"),
        ({"out": ["a", "b"]}, "Results folder: too many values"),
    ],
)
def test_an_error_has_the_name_that_the_page_has(options: Options, values: object, said: str) -> None:
    with pytest.raises(LocalError) as caught:
        arguments(options, "run", values)
    assert str(caught.value) == said


@pytest.mark.parametrize("name", ["quantize", "export", "", None, 3, "run --force", "../run"])
def test_only_run_and_demo_are_there(options: Options, name: object) -> None:
    with pytest.raises(LocalError, match="no command"):
        options.command(name)


def test_the_screen_reads_lines(options: Options) -> None:
    assert parsed(for_screen(arguments(options, "run", {"comparison": "c"})))["progress"] == "json"
