"""Times that are added later: a file that was timed before tells whether the machine is as fast as it was."""

from __future__ import annotations

import io

import polars as pl
import pytest
from rich.console import Console
from tiny_comparisons import tiny_comparison

from evaluator.comparison.anchor import changed_speed
from evaluator.comparison.run import ComparisonRun
from evaluator.planning.plan import make_plan
from evaluator.results.files import VARIANTS
from evaluator.results.store import ResultsStore
from evaluator.support.progress import RunProgress

EARLIER = {"decode_ms_p10": 98.0, "decode_ms_p50": 100.0, "decode_ms_p90": 120.0}
TIMES = list(EARLIER)


@pytest.mark.parametrize("now", [99, 100, 119, 91, 98])
def test_as_fast_as_it_was(now):
    assert changed_speed("A", EARLIER, now) is None


@pytest.mark.parametrize("now", [80, 89, 121, 200])
def test_faster_or_slower_than_it_was(now):
    said = changed_speed("A, llama.cpp", EARLIER, now)
    assert said is not None
    assert said.startswith(f"A, llama.cpp: 100 ms per token when it was timed, {now} now, ")


def test_one_slow_token_in_ten_is_no_change():
    """The middle 80 % of a noisy machine's times reach far above its median."""
    assert changed_speed("A", EARLIER | {"decode_ms_p90": 150.0}, 149) is None


def measured(comparison):
    said = io.StringIO()
    with ResultsStore(comparison.out) as store, RunProgress(Console(file=said, width=400)) as progress:
        ComparisonRun(make_plan(comparison), comparison, store, progress).run()
    return said.getvalue(), store


@pytest.mark.parametrize("factor", [1e3, 1e-3])
def test_a_machine_of_another_speed_is_said_and_recorded(factor, tiny_path, text_path, tmp_path):
    asked = tiny_comparison(tiny_path, tiny_path, text_path, tmp_path / "out", chunks=3)
    asked = asked.model_copy(update={"speed": True})
    said, store = measured(asked.model_copy(update={"variants": ()}))
    assert "when it was timed" not in said
    assert store.manifest.notices == []
    path = asked.out / VARIANTS.place
    pl.read_parquet(path).with_columns(pl.col(TIMES) * factor).write_parquet(path)
    (before,) = store.variants().to_dicts()
    timings = store.timings(before["variant_id"])
    said, store = measured(asked)
    (notice,) = store.manifest.notices
    assert notice in said
    assert notice.startswith("baseline F32, onnxruntime: ")
    assert f"{before['decode_ms_p50']:.3g} ms per token when it was timed" in notice
    assert store.untimed() == set()
    assert store.timings(before["variant_id"]).equals(timings)
    assert not list(asked.out.rglob("anchor*"))
