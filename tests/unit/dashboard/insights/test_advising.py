"""The best file, and type of the cache, within limits: stated rules on variants written by hand."""

from __future__ import annotations

import pytest
from run_in_llama import CACHES, FILES, MB, MEMORY, Folder, alone, told
from variant_rows import GOOD, row

from dashboard.insights.advising import Need, advise

FAST = {"decode_ms_p50": 10.0}
SHELF = [
    row("a", "Q2", 3, 0.5, **FAST),
    row("a", "Q4", 5, 0.02, decode_ms_p50=20.0),
    row("b", "Q4", 5.2, 0.03, decode_ms_p50=15.0),
    row("a", "Q8", 8, 0.001, decode_ms_p50=40.0),
]


def advice(**need: float) -> tuple[str | None, str | None]:
    found = advise(alone(SHELF), Need(**need))
    return (found.best and found.best.label, found.runner_up and found.runner_up.label)


def test_advice_takes_the_closest_that_fits() -> None:
    assert advice(budget_gb=1) == ("a Q8", "a Q4")
    assert advice(floor=0.04) == ("a Q4", "b Q4"), "only quality is limited: the smallest that keeps it"
    assert advice(budget_gb=0.0055) == ("a Q4", "b Q4")
    assert advice(min_tps=60) == ("b Q4", "a Q2")
    assert advice(min_tps=60, floor=0.01) == (None, None)
    assert advice(budget_gb=0.0055, min_tps=90) == ("a Q2", None)


def test_a_limit_of_quality_takes_the_closest_of_the_smallest_size() -> None:
    """Padding and metadata make a file at most 0.1 % larger."""
    smallest, equal, larger = row("a", "Q4", 5, 0.02), row("b", "Q4", 5, 0.01), row("c", "Q4", 5, 0.001)
    rows = [smallest, equal | {"size_bytes": 5_004_000}, larger | {"size_bytes": 5_010_000}]
    found = advise(alone(rows), Need(floor=0.05))
    assert (found.best and found.best.label, found.runner_up and found.runner_up.label) == ("b Q4", "a Q4")


@pytest.mark.parametrize(
    ("floor", "written"), [(0.03, "3.0 %"), (0.0003, "0.03 %"), (0.0255, "2.55 %"), (1e-7, "0.00001 %")]
)
def test_a_limit_of_quality_is_written_as_typed(floor: float, written: str) -> None:
    assert Need(floor=floor).limits == f"perplexity up by less than {written} at the 95 % bound"


def test_advice_prices_the_next_step() -> None:
    found = advise(alone(SHELF), Need(budget_gb=0.0045))
    assert found.best is not None
    assert found.best.row is SHELF[0]
    # A quarter of the budget more, 1.125 MB, reaches a Q4 (5 MB) and b Q4 (5.2 MB); a Q4 is closer.
    assert "With up to 1.1 MB more: a Q4" in found.next_step
    assert advise(alone(SHELF), Need(budget_gb=1)).next_step == "", "there is no larger file"
    # A quarter of a Q4's 5 MB reaches b Q4 (5.2 MB), which is farther from the baseline.
    assert (
        advise(alone(SHELF), Need(budget_gb=0.005)).next_step == "With up to 1.2 MB more, no file is closer."
    )


@pytest.mark.parametrize(
    ("need", "words"),
    [
        (Need(budget_gb=0.001), "No file is that small: the smallest, a Q2, takes 3.0 MB."),
        (Need(min_tps=1000), "No file is that fast: the fastest, a Q2, decodes 100 tokens/s"),
        (Need(floor=0.0001), "the nearest is a Q8"),
        (Need(budget_gb=0.004, floor=0.01), "no file meets them all"),
    ],
)
def test_advice_names_the_obstacle(need: Need, words: str) -> None:
    found = advise(alone(SHELF), need)
    assert found.best is None
    assert words in found.why


def test_advice_without_times_or_variants_says_so() -> None:
    assert "Speed was not measured" in advise(alone(GOOD), Need(min_tps=1)).why
    assert advise(alone([]), Need()).best is None
    assert "at most 1.50 GB and at least 20.0 tokens/s" in Need(1.5, 20).rule(alone(SHELF))


def test_without_measured_memory_the_file_alone_counts_and_that_is_said() -> None:
    found = advise(alone(SHELF), Need(budget_gb=0.0055, context=16384))
    assert found.best is not None
    assert found.best.label == "a Q4"
    assert "memory is the file alone: what cache and buffers take was not measured" in found.rule
    assert "16,384" not in found.rule


@pytest.mark.parametrize(
    ("gb", "best", "second"),
    [
        (0.0130, "a Q8 with f16 cache", "a Q8 with q8_0 cache"),  # 8 + 4 + 1
        (0.0129, "a Q8 with q8_0 cache", "a Q5 with f16 cache"),  # 8 + 2 + 1, and 5 + 4 + 1
        (0.0100, "a Q5 with f16 cache", "a Q5 with q8_0 cache"),
        (0.0080, "a Q5 with q8_0 cache", None),  # 5 + 2 + 1
    ],
)
def test_pairs_of_file_and_cache_fit_by_their_sum(gb: float, best: str, second: str | None) -> None:
    found = told(budget_gb=gb, context=8192)
    assert (found.best.label, found.runner_up and found.runner_up.label) == (best, second)


def test_the_sum_is_told() -> None:
    found = told(budget_gb=0.0129, context=8192)
    assert (
        found.memory == "weights 8.0 MB + cache 2.0 MB + buffers 1.0 MB = 11.0 MB at 8,192 tokens, q8_0 cache"
    )
    assert found.why.startswith("11.0 MB, ")
    assert "40.0 tokens/s in llama.cpp" in found.why
    assert "0.012 nats mean KLD as run" in found.why
    assert found.rule.startswith(
        "lowest mean KLD as run in llama.cpp among files with at most 12.9 MB and 8,192"
    )


@pytest.mark.parametrize(
    ("peak", "engine", "said"),
    [
        (17 * MB, "llama.cpp", True),
        (11 * MB, "llama.cpp", False),  # not above the sum: nothing to explain
        (17 * MB, "onnxruntime", False),  # it repacks nothing
        (None, "llama.cpp", False),
    ],
)
def test_a_measured_peak_above_the_sum_is_explained(peak: int | None, engine: str, said: bool) -> None:
    rows = [item | {"run_peak_rss_bytes": peak, "run_engine": engine} for item in FILES]
    found = told(rows=rows, budget_gb=0.0129, context=8192).memory
    assert found.startswith("weights 8.0 MB + cache 2.0 MB + buffers 1.0 MB = 11.0 MB at 8,192 tokens")
    twice = (
        "; the measured peak, 17.0 MB, has a second copy of the weights that llama.cpp repacks, which the system "
        "can drop"
    )
    assert found.endswith(twice) == said
    assert ("peak" in found) == said


def test_a_type_whose_loss_was_not_measured_is_no_candidate_and_is_said_where_it_matters() -> None:
    """Q5 fits with q8_0 from 8 MB on, Q8 with q4_0 from 10 MB and with q8_0 from 11 MB."""
    assert told(budget_gb=0.0099, context=8192).unmeasured == ""
    assert told(budget_gb=0.0100, context=8192).unmeasured == (
        "a Q8 would fit with q4_0 cache, but what that costs was not measured: run with --kv-cache q4_0."
    )
    assert told(budget_gb=0.0110, context=8192).unmeasured == ""  # Q8 fits with q8_0
    nothing = told(budget_gb=0.0070, context=8192)  # 5 + 1 + 1
    assert nothing.best is None
    assert "the smallest, a Q5 with q8_0 cache, takes weights 5.0 MB + cache 2.0 MB" in nothing.why
    assert nothing.unmeasured.startswith("a Q5 would fit with q4_0 cache")


def test_without_a_context_a_usual_one_counts_and_is_said() -> None:
    """A cache of 4,096 tokens takes 2 MB in f16."""
    found = told(budget_gb=0.0110)
    assert found.best.label == "a Q8 with f16 cache"
    assert "= 11.0 MB at 4,096 tokens" in found.memory
    assert "for 4,096 tokens unless you name a context" in found.rule


def test_a_file_without_a_loss_as_run_makes_the_losses_of_weights_count() -> None:
    """Then types of the cache do not compare, and no name has one."""
    rows = [FILES[0], FILES[1] | {"run_kld_mean": None}]
    found = told(rows=rows, budget_gb=0.0129, context=8192)
    assert found.best.label == "a Q5"
    assert found.best.loss == rows[0]["kld_mean"]
    assert "as run" not in found.rule
    assert found.unmeasured.startswith("a Q8 would fit with q8_0 cache")


def test_a_limit_of_memory_where_only_other_types_have_one() -> None:
    """Memory is known for q4_0, whose loss is not."""
    found = told(Folder([values for values in MEMORY if values[1] == "q4_0"]), budget_gb=1.0)
    assert found.best is None
    assert found.why == "Memory was measured only with types of the cache whose loss is not known."


def test_times_are_those_of_the_type() -> None:
    """50 and 40 tokens/s of Q5, 25 and 40 of Q8."""
    assert told(min_tps=30.0).best.label == "a Q8 with q8_0 cache"
    assert told(min_tps=45.0).best.label == "a Q5 with f16 cache"


def test_a_loss_over_some_windows_is_moved_to_all_tokens() -> None:
    """Q8 with q8_0 lost 0.9 nats on half of the tokens, 0.001 of them by running; its weights lose 0.001 on all."""
    some = {"baseline_kld_mean": 0.9, "n_tokens": 50, "kld_change": 0.001}
    folder = Folder(MEMORY, [*CACHES[:3], CACHES[3] | some])
    rows = [file | {"n_tokens": 100} for file in FILES]
    found = told(folder, rows, budget_gb=0.0129, context=8192)
    assert (found.best.label, found.best.loss) == ("a Q8 with q8_0 cache", FILES[1]["kld_mean"] + 0.001)


def test_a_limit_of_quality_needs_the_perplexity_of_the_type() -> None:
    """Q8 with q8_0 counts once its perplexity is known to rise by 0.2 ± 0.2 %, and not by 2 ± 0.2 %."""
    limits = {"budget_gb": 0.0129, "context": 8192, "floor": 0.01}
    assert told(**limits).best is None

    def measured(ratio: float) -> Folder:
        more = {"baseline_ln_ppl_ratio": ratio, "baseline_ln_ppl_ratio_se": 0.001}
        return Folder(MEMORY, [values | more for values in CACHES])

    assert told(measured(0.002), **limits).best.label == "a Q8 with q8_0 cache"
    assert told(measured(0.020), **limits).best is None


def test_a_speed_tied_with_the_limit_meets_it_and_that_is_said() -> None:
    """Q8 decodes 47.6 tokens/s at the median and 52.6 at the fast end of its spread."""
    rows = [
        row("a", "Q4", 5, 0.02, decode_ms_p50=10.0),
        row("a", "Q8", 8, 0.001, decode_ms_p50=21.0, decode_ms_p10=19.0),
    ]
    tied, beyond, clear = (advise(alone(rows), Need(min_tps=limit)) for limit in (50, 53, 45))
    assert [found.best and found.best.label for found in (tied, beyond, clear)] == ["a Q8", "a Q4", "a Q8"]
    assert tied.tied == "Its median, 47.6 tokens/s in llama.cpp, is under your limit, but not measurably."
    assert (beyond.tied, clear.tied) == ("", "")
    assert tied.rule.endswith("; a speed counts as fast enough unless it is measurably below the limit")
    assert "measurably below" not in advise(alone(rows), Need(budget_gb=1)).rule
