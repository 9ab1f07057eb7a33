"""Times in one folder that were measured with different settings, or on different machines."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tiny_comparisons import tiny_comparison

from evaluator.comparison.engine_settings import changed, mixed_times
from evaluator.comparison.run import ComparisonRun
from evaluator.planning.plan import make_plan
from evaluator.results.files import MANIFEST_NAME
from evaluator.results.manifest import Manifest
from evaluator.results.store import ResultsStore
from evaluator.support.progress import RunProgress

OLD = {"threads": 2, "machine": "Slow CPU"}


def test_only_what_both_record_is_compared():
    assert changed({"threads": 2}, OLD) == []
    assert changed(OLD, {"threads": 4}) == ["threads"]
    assert changed({}, OLD) == []


def test_what_differs_is_named_and_nothing_else():
    assert mixed_times("llama.cpp", OLD, OLD) is None
    said = mixed_times("llama.cpp", OLD, {"threads": 2, "machine": "Fast CPU"})
    assert said is not None
    assert "measured with machine Slow CPU, and those of files added later with machine Fast CPU" in said
    assert "threads" not in said


def measured(comparison):
    said = io.StringIO()
    with ResultsStore(comparison.out) as store, RunProgress(Console(file=said, width=400)) as progress:
        ComparisonRun(make_plan(comparison), comparison, store, progress).run()
    return said.getvalue(), store


@pytest.mark.parametrize("machine", ["Another CPU", None])
def test_a_file_that_is_timed_later_on_another_machine_is_said_and_recorded(
    machine, tiny_path, text_path, tmp_path
):
    """The first run's machine is renamed in the manifest; None: it is left."""
    asked = tiny_comparison(tiny_path, tiny_path, text_path, tmp_path / "out", chunks=3)
    said, _ = measured(asked.model_copy(update={"variants": (), "speed": True}))
    assert "do not compare" not in said
    if machine:
        path = asked.out / MANIFEST_NAME
        manifest = Manifest.model_validate_json(path.read_text())
        engines = {name: {**of_it, "machine": machine} for name, of_it in manifest.engines.items()}
        path.write_text(manifest.model_copy(update={"engines": engines}).model_dump_json())
    said, store = measured(asked.model_copy(update={"speed": True}))
    assert store.untimed() == set()
    recorded = [notice for notice in store.manifest.notices if "machine Another CPU" in notice]
    assert ("machine Another CPU" in said) == bool(machine)
    assert len(recorded) == bool(machine)
