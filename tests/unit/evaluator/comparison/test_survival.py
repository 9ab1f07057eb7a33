"""Runs that are killed, interrupted or out of disk: what was finished stays, and the same command goes on."""

from __future__ import annotations

import io
import multiprocessing
import random
import resource
import shutil
import time

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rich.console import Console
from tiny_models import write_tiny_llama

from evaluator.commands.run import run_comparison
from evaluator.planning.config import Comparison, VariantSource
from evaluator.results.files import WRITER_NAME
from evaluator.results.reader import read_manifest
from evaluator.support.errors import RequestError

#: Of files that a run may write, in bytes: enough for a manifest, too little for hidden states.
SMALL_DISK = 20_000


@pytest.fixture(scope="module")
def processes():
    """Children that are forked from a process with everything imported, so that they start working at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["evaluator.commands.run"])
    return context


@pytest.fixture(scope="module")
def comparison(tiny_path, tiny_graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("survival")
    (folder / "prose.txt").write_text(
        "The rain in the north ran over the garden wall. " * 40, encoding="utf-8"
    )
    for number, quant in enumerate(("Q4_0", "Q5_0", "Q8_0")):
        write_tiny_llama(folder / f"Tiny-{quant}.gguf", noise=0.01 * (number + 1))
    return Comparison(
        baseline=str(tiny_path),
        variants=(VariantSource(method="m", source=f"{folder}/Tiny-*.gguf"),),
        texts=(f"prose={folder / 'prose.txt'}",),
        out=folder / "undisturbed",
        context=32,
        device="cpu",
        threads=1,
        speed=False,
    )


def measure(comparison, largest_file=None):
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    run_comparison(comparison, Console(file=io.StringIO()))


def finish(processes, comparison, *arguments):
    child = processes.Process(target=measure, args=(comparison, *arguments))
    child.start()
    child.join(600)
    return child.exitcode


@pytest.fixture(scope="module")
def undisturbed(processes, comparison):
    """The folder of a run that nothing happened to, and the seconds it took."""
    assert finish(processes, comparison) == 0  # the first child also waits for the imports
    shutil.rmtree(comparison.out)
    begin = time.monotonic()
    assert finish(processes, comparison) == 0
    return comparison.out, time.monotonic() - begin


def frames(folder):
    """Every frame of a results folder, its rows in a fixed order."""
    found = {str(path.relative_to(folder)): pl.read_parquet(path) for path in folder.rglob("*.parquet")}
    return {name: frame.sort(frame.columns[:3]) if len(frame) else frame for name, frame in found.items()}


def finished_rows(folder):
    """Variants that a run has finished, with their tokens."""
    path = folder / "variants.parquet"
    rows = pl.read_parquet(path).to_dicts() if path.is_file() else []
    return {
        row["variant_id"]: (row, pl.read_parquet(folder / "tokens" / f"{row['variant_id']}.parquet"))
        for row in rows
    }


def assert_same_results(folder, expected):
    mine, theirs = frames(folder), frames(expected)
    assert mine.keys() == theirs.keys()
    for name, frame in theirs.items():
        assert_frame_equal(mine[name], frame)
    leftovers = [
        path.name
        for path in folder.rglob("*")
        if path.match("*.partial") or path.name in ("work", WRITER_NAME)
    ]
    assert leftovers == []
    assert read_manifest(folder).ended is not None


def kill_and_resume(processes, comparison, undisturbed, kills, seed):
    expected, seconds = undisturbed
    generator, finished = random.Random(seed), {}
    for _ in range(kills):
        child = processes.Process(target=measure, args=(comparison,))
        child.start()
        time.sleep(generator.uniform(0, seconds))
        child.kill()
        child.join()
        now = finished_rows(comparison.out)
        for variant_id, (row, tokens) in finished.items():
            later = now[variant_id][0]  # what an engine measures comes after the rest
            assert {
                name: later[name] for name, value in row.items() if value is not None
            }.items() <= row.items()
            assert_frame_equal(now[variant_id][1], tokens)
        finished = now
    assert finish(processes, comparison) == 0
    assert_same_results(comparison.out, expected)


def test_killed_runs_lose_nothing_that_was_finished(processes, comparison, undisturbed, tmp_path):
    disturbed = comparison.model_copy(update={"out": tmp_path / "out"})
    kill_and_resume(processes, disturbed, undisturbed, kills=6, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_many_kills_lose_nothing_that_was_finished(processes, comparison, undisturbed, tmp_path, seed):
    disturbed = comparison.model_copy(update={"out": tmp_path / "out"})
    kill_and_resume(processes, disturbed, undisturbed, kills=10, seed=seed)


def test_full_disk_ends_the_run_and_the_same_command_resumes(processes, comparison, undisturbed, tmp_path):
    disturbed = comparison.model_copy(update={"out": tmp_path / "out"})
    assert finish(processes, disturbed, SMALL_DISK) == 1
    assert finished_rows(disturbed.out) == {}
    assert finish(processes, disturbed) == 0
    assert_same_results(disturbed.out, undisturbed[0])


def test_a_second_run_into_a_folder_is_refused_and_the_first_is_unharmed(
    processes, comparison, undisturbed, tmp_path
):
    first = comparison.model_copy(update={"out": tmp_path / "out"})
    child = processes.Process(target=measure, args=(first,))
    child.start()
    writer = first.out / WRITER_NAME
    while not (writer.is_file() and writer.read_text()):
        assert child.is_alive()
        time.sleep(0.001)
    second = first.model_copy(update={"baseline": "hf:nobody/nothing"})  # nothing of it is asked for
    said = rf"out: another run is writing here \(pid {child.pid} since 20.*\); wait for it, or choose another --out"
    for force in (False, True):
        with pytest.raises(RequestError, match=said):
            run_comparison(second, Console(file=io.StringIO()), force=force)
    assert child.is_alive()
    child.join(600)
    assert child.exitcode == 0
    assert_same_results(first.out, undisturbed[0])


def test_changed_variant_alone_is_measured_again(processes, comparison, undisturbed, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(undisturbed[0], folder)
    source = tmp_path / "Tiny-Q4_0.gguf"
    write_tiny_llama(source, noise=0.2)
    changed = comparison.model_copy(
        update={
            "out": folder,
            "variants": (VariantSource(method="m", source=str(source)), *comparison.variants),
        }
    )
    before = finished_rows(folder)
    only_new = changed.model_copy(update={"variants": changed.variants[:1]})
    summary = run_comparison(only_new, Console(file=io.StringIO()))
    after = finished_rows(folder)
    new = [
        name for name in after if after[name][0]["sha256"] != before.get(name, ({"sha256": ""},))[0]["sha256"]
    ]
    assert (len(new), len(after)) == (1, len(before))
    assert set(summary["measured"]) - set(new) <= {name for name in after if after[name][0]["is_baseline"]}
    assert after[new[0]][0]["kld_mean"] > before[new[0]][0]["kld_mean"]
