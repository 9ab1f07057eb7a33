"""Interrupts at difficult moments: one line, status 130, no traceback, no death by the signal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
BEGIN = """
import os, signal, sys
from evaluator.support.interrupts import end_at_once, interruptible, stay_to_the_end
stay_to_the_end()
end_at_once()
def strike(): os.kill(os.getpid(), {number})
def say(message): print("error:", message, file=sys.stderr)
"""


def ended(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("number", [2, 15])
@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("strike()", "nothing was changed"),
        ("with interruptible('kept', say): strike()", "kept"),
        # An extension module raises another error instead.
        (
            """
with interruptible('kept', say):
    try: strike()
    except KeyboardInterrupt: raise ImportError('initialization failed')
""",
            "kept",
        ),
        # Code that suppresses every exception continues.
        (
            """
with interruptible('kept', say):
    try: strike()
    except BaseException: pass
""",
            "kept",
        ),
        # A second interrupt during the cleanup.
        (
            """
with interruptible('kept', say):
    try: strike()
    finally: strike()
""",
            "kept",
        ),
        # A second interrupt after the line was printed.
        (
            """
try:
    with interruptible('kept', say): strike()
finally: strike()
""",
            "kept",
        ),
    ],
)
def test_an_interruption_is_one_line_and_status_130(number, code, outcome):
    assert ended("-c", BEGIN.format(number=number) + code) == (130, [f"error: interrupted: {outcome}"])


@pytest.mark.parametrize(("code", "status"), [("", 0), ("with interruptible('kept', say): strike()", 130)])
def test_an_interruption_of_the_interpreter_s_end_changes_nothing(code, status):
    late = "class Late:\n    def __del__(self, kill=os.kill, me=os.getpid()): kill(me, 2)\nlate = Late()\n"
    found, lines = ended("-c", BEGIN.format(number=2) + late + code)
    assert (found, len(lines)) == (status, bool(status))


def test_a_process_that_is_to_ignore_interruptions_ignores_them():
    ignoring = "import signal\nsignal.signal(2, signal.SIG_IGN)\n"
    code = "strike()\nwith interruptible('kept', say): strike()"
    assert ended("-c", ignoring + BEGIN.format(number=2) + code) == (0, [])


def test_errors_pass_through():
    status, lines = ended("-c", BEGIN.format(number=2) + "with interruptible('kept', say): 1 / 0")
    assert (status, lines[-1]) == (1, "ZeroDivisionError: division by zero")


def test_the_command_line_can_be_interrupted_while_it_is_imported(tmp_path):
    (tmp_path / "typer.py").write_text("import os, time\nos.kill(os.getpid(), 2)\ntime.sleep(30)\n")
    found = ended("-m", "evaluator", "--help", PYTHONPATH=str(tmp_path))
    assert found == (130, ["error: interrupted: nothing was changed"])
