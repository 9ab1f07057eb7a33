"""What a failing stage costs a run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from evaluator.comparison.stages import reporting, stage
from evaluator.support.errors import ComputeError
from evaluator.support.progress import RunProgress


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ComputeError("no kernel"), "m-q4: not timed: no kernel"),
        (KeyError("bias"), "m-q4: not timed: KeyError 'bias'"),
        (MemoryError(), "m-q4: not timed: MemoryError"),
    ],
)
def test_failure_is_reported_and_the_run_goes_on(error, said):
    console = Console(file=io.StringIO(), width=200)
    with stage(reporting(RunProgress(console), "m-q4: not timed")):
        raise error
    assert console.file.getvalue().strip() == said


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_and_an_interrupt_end_the_run(error):
    failures = []
    with pytest.raises(type(error)), stage(failures.append):
        raise error
    assert failures == []
