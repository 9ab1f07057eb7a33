"""Several devices at a time: who works on what, and that a comparison is the same as with one."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from queue import SimpleQueue

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_models import write_tiny_llama

from evaluator.comparison.run import ComparisonRun
from evaluator.comparison.variant_stages import VariantStages
from evaluator.planning.plan import make_plan
from evaluator.results.reader import read_manifest
from evaluator.results.store import ResultsStore
from evaluator.runtime.device import Device
from evaluator.runtime.parallel import on_devices
from evaluator.support.progress import RunProgress

DEVICES = [Device("cpu", "CPUExecutionProvider", 1, index=index) for index in range(2)]


def test_one_device_is_worked_on_in_order_and_in_this_thread():
    seen = []
    on_devices(
        DEVICES[1:], "abc", lambda item, device: seen.append((item, device.index, threading.get_ident()))
    )
    assert seen == [(item, 1, threading.get_ident()) for item in "abc"]


def test_a_device_has_one_item_at_a_time_and_both_are_busy():
    both = threading.Barrier(2, timeout=60)
    busy, seen = set(), []

    def work(item, device):
        assert device.index not in busy
        busy.add(device.index)
        if item in "ab":
            both.wait()  # passes only if two items are worked on at a time
        seen.append(item)
        busy.remove(device.index)

    on_devices(DEVICES, "abcdefgh", work)
    assert sorted(seen) == list("abcdefgh")


def test_after_an_error_nothing_more_is_begun_and_what_was_begun_is_finished():
    begun, failing, seen = threading.Event(), SimpleQueue(), []

    def work(item, _):
        if item == 0:
            assert begun.wait(60)
            failing.put(threading.current_thread())
            raise OSError("disk full")
        begun.set()
        failing.get(timeout=60).join(60)  # it ends when all that waits is called off
        seen.append(item)

    with pytest.raises(OSError, match="disk full"):
        on_devices(DEVICES, range(1000), work)
    assert seen == [1]


@pytest.fixture
def comparison(tiny_path, tiny_graph, text_path, tmp_path):
    """Three lossy variants."""
    for quant, noise in (("Q6_K", 0.005), ("Q5_0", 0.01), ("Q4_0", 0.02)):
        write_tiny_llama(tmp_path / f"Tiny-lossy-{quant}.gguf", noise=noise)
    return tiny_comparison(tiny_path, tmp_path / "Tiny-*.gguf", text_path, tmp_path / "one")


def run(comparison, change=lambda plan: plan):
    plan = change(make_plan(comparison))
    with ResultsStore(comparison.out) as store, RunProgress(Console(file=io.StringIO())) as progress:
        outcome = ComparisonRun(plan, comparison, store, progress).run()
    frames = {
        str(path.relative_to(comparison.out)): pl.read_parquet(path)
        for path in comparison.out.rglob("*.parquet")
    }
    return outcome, frames


def test_two_devices_give_the_frames_of_one(comparison, monkeypatch):
    """Two variants are in the works at a time, or the barrier breaks."""
    _, alone = run(comparison)
    shared = comparison.model_copy(update={"out": comparison.out.with_name("two")})
    both, used = threading.Barrier(2, timeout=60), []
    score = VariantStages.score

    def watched(self, subject, device, advance):
        used.append(device.index)
        if "q6_k" in subject.name or "q5_0" in subject.name:
            both.wait()
        return score(self, subject, device, advance)

    monkeypatch.setattr(VariantStages, "score", watched)
    outcome, together = run(shared, lambda plan: replace(plan, further_devices=(DEVICES[1],)))
    assert set(used) == {0, 1}
    assert len(outcome.measured) == 4
    assert together.keys() == alone.keys()
    for name, frame in alone.items():
        assert_frame_equal(together[name], frame, check_row_order=False)
    assert read_manifest(shared.out).ended is not None


def test_a_variant_that_fails_on_one_device_stops_no_other(comparison, monkeypatch):
    score = VariantStages.score

    def failing(self, subject, device, advance):
        if "q5_0" in subject.name:
            raise RuntimeError("no luck")
        return score(self, subject, device, advance)

    monkeypatch.setattr(VariantStages, "score", failing)
    outcome, frames = run(comparison, lambda plan: replace(plan, further_devices=(DEVICES[1],)))
    assert [failure.reason for failure in outcome.failures] == ["RuntimeError no luck"]
    assert set(frames["variants.parquet"]["quant"]) == {"F32", "Q6_K", "Q4_0"}
