"""Weights that are not finite or absurdly large, and devices that put out zeros: named, counted, not averaged."""

from __future__ import annotations

import io
import math

import numpy as np
import polars as pl
import pytest
from passes import hidden_of
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_models import write_tiny_llama

from evaluator.commands.run import inspect_source
from evaluator.comparison.layers.weight_error import relative_error
from evaluator.comparison.left_out import check_varying
from evaluator.comparison.run import ComparisonRun
from evaluator.export.exact.weights import head_weights
from evaluator.metrics import TokenScores, measure
from evaluator.metrics.estimation import LARGEST_TOLD_APART
from evaluator.models.gguf.reader import open_gguf
from evaluator.planning.plan import make_plan
from evaluator.results.reader import read_manifest
from evaluator.results.store import ResultsStore
from evaluator.runtime.device import Device
from evaluator.runtime.layered_model import LayeredModel
from evaluator.support.errors import SourceError
from evaluator.support.progress import RunProgress

N_TOKENS = 28
HUGE = 1e38
CPU = Device("cpu", "CPUExecutionProvider", 1)


@pytest.fixture
def baseline(tmp_path):
    return write_tiny_llama(tmp_path / "Tiny-F32.gguf", untied=True)


@pytest.fixture
def measured(tmp_path, text_path):
    """Measure `variant` against `baseline`: the outcome, what was said, and the folder."""

    def run(baseline, variant, **changes):
        said = io.StringIO()
        comparison = tiny_comparison(baseline, variant, text_path, tmp_path / "out")
        comparison = comparison.model_copy(update=changes)
        with RunProgress(Console(file=said, width=400)) as progress, ResultsStore(comparison.out) as store:
            outcome = ComparisonRun(make_plan(comparison), comparison, store, progress).run()
        return outcome, said.getvalue(), comparison.out

    return run


def largest_number(folder):
    """Of all numbers in all frames."""
    frames = [pl.read_parquet(path) for path in folder.rglob("*.parquet")]
    columns = [frame[name] for frame in frames for name in frame.columns if frame[name].dtype.is_float()]
    return max(abs(value) for column in columns for value in column.drop_nulls().to_list())


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"noise": math.nan},
        {"placed": {"output_norm.weight": (7, HUGE)}},
        {"placed": {"blk.0.attn_norm.weight": (3, HUGE)}},
        {"placed": {"output.weight": (300, HUGE)}},
    ],
)
def test_a_file_without_a_usable_token_has_a_row_of_nulls_and_fails_by_name(
    baseline, measured, tmp_path, options
):
    bad = write_tiny_llama(tmp_path / "Tiny-bad-Q8_0.gguf", untied=True, **options)
    for _ in range(2):  # the second run measures nothing, and says the same
        outcome, said, folder = measured(baseline, bad, attribution=True)
        (failure,) = outcome.failures
        assert failure.source == str(bad)
        assert failure.reason.startswith(f"none of its {N_TOKENS} tokens has a usable value")
        assert "compare its checksum" in failure.reason
        assert f"failed {bad}: none of its" in said
        assert read_manifest(folder).failures == [failure]
    (row,) = pl.read_parquet(folder / "variants.parquet").filter(~pl.col("is_baseline")).to_dicts()
    assert (row["n_tokens"], row["n_nonfinite"]) == (N_TOKENS, N_TOKENS)
    tokens = pl.read_parquet(folder / "tokens" / f"{row['variant_id']}.parquet")
    assert tokens["kld"].null_count() == N_TOKENS
    assert tokens["nll"].null_count() == N_TOKENS
    _, table = inspect_source(str(folder))
    printed = io.StringIO()
    Console(file=printed, width=200).print(table)
    assert printed.getvalue().count("no usable token") == 1
    unknown = [name for name in row if name.startswith(("ppl", "ln_ppl", "kld", "delta", "same_top", "inv"))]
    assert {row[name] for name in unknown} == {None}
    assert largest_number(folder) < 1e6


@pytest.mark.parametrize(
    "placed", [{"blk.0.ffn_down.weight": (7, HUGE)}, {"blk.1.ffn_down.weight": (7, HUGE)}]
)
def test_a_file_whose_logits_do_not_vary_fails_and_has_no_row(baseline, measured, tmp_path, placed):
    """Its residual stream overflows in the norm, which puts out zeros: PPL 263, better than the baseline's 457."""
    bad = write_tiny_llama(tmp_path / "Tiny-bad-Q8_0.gguf", untied=True, placed=placed)
    outcome, said, folder = measured(baseline, bad)
    (failure,) = outcome.failures
    assert failure.source == str(bad)
    assert "its logits do not vary: each of 263 tokens is as likely as any other" in failure.reason
    assert f"failed {bad}: its logits do not vary" in said
    assert pl.read_parquet(folder / "variants.parquet")["is_baseline"].to_list() == [True]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_device_that_puts_out_zeros_measures_nothing(baseline, tmp_path, measured, monkeypatch, device):
    def zeros(self, rows, weights):
        return np.zeros(rows.shape(), np.float32)

    monkeypatch.setattr(LayeredModel, "norm", zeros)
    monkeypatch.setattr(
        "evaluator.planning.plan.choose_devices", lambda *_: [Device(device, "CPUExecutionProvider", 1)]
    )
    monkeypatch.setattr("evaluator.comparison.run.settled_precision", lambda *_: "float32")
    variant = write_tiny_llama(tmp_path / "Tiny-Q4_0.gguf", untied=True, noise=0.01)
    way_out = "or use --device cpu" if device == "cuda" else "or make it again"
    with pytest.raises(SourceError, match=rf"Tiny-F32.gguf: its logits do not vary.*{way_out}"):
        measured(baseline, variant)
    assert not (tmp_path / "out" / "variants.parquet").exists()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_tokens_without_a_value_are_counted_and_left_out(baseline, measured, tmp_path, tiny_graph):
    """A weight in the head's row 1 makes that token's logit ±huge: positive where the state's place 44 is."""
    bad = write_tiny_llama(
        tmp_path / "Tiny-bad-F16.gguf", untied=True, placed={"output.weight": (256 + 44, HUGE)}
    )
    outcome, said, folder = measured(bad, baseline)
    plan = make_plan(tiny_comparison(bad, baseline, tmp_path / "prose.txt", folder))
    clean = open_gguf(baseline)
    hidden = np.concatenate([hidden_of(clean, tiny_graph, CPU, window) for window in plan.windows])
    kept = hidden[:, 44] < 0
    assert 0 < kept.sum() < N_TOKENS
    rows = {row["is_baseline"]: row for row in pl.read_parquet(folder / "variants.parquet").to_dicts()}
    assert rows[True]["n_nonfinite"] == rows[False]["n_nonfinite"] == N_TOKENS - kept.sum()
    logits = (hidden @ head_weights(clean).T).astype(np.float64)
    logits[:, 1] = -np.inf
    logits = logits[kept] - logits[kept].max(axis=1, keepdims=True)
    targets = np.concatenate([window.targets for window in plan.windows])[kept]
    nll = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), targets]
    assert rows[True]["ppl"] == pytest.approx(math.exp(nll.mean()), rel=1e-5)
    assert f"Tiny-bad-F16.gguf: {N_TOKENS - kept.sum()} of {N_TOKENS} tokens are excluded" in said
    assert "noise floor" not in said
    assert outcome.failures == []
    assert largest_number(folder) < 1e6


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_error_of_weights_whose_squares_float32_does_not_hold():
    rest = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    huge = rest.copy()
    huge[3] = HUGE
    assert relative_error([(rest, huge)]) == pytest.approx(1.0)
    assert relative_error([(huge, huge * np.float32(0.5))]) == pytest.approx(1.0)
    assert relative_error([(huge, rest)]) is None  # 3e36 times as large: nothing but that it is broken
    assert relative_error([(rest * np.float32(math.nan), rest)]) is None
    assert relative_error([(rest, np.zeros_like(rest))]) is None


def test_a_perplexity_beyond_every_number_is_null_and_the_rest_is_there():
    nll, reference = np.array([999.0, 1001.0]), np.array([998.0, 1002.0])
    scores = TokenScores(10**6, np.array([0, 1]), nll, np.exp(-nll), reference, np.full(2, 3.0), np.ones(2))
    columns, warnings = measure(scores)
    assert warnings == []
    assert columns.get("ppl") is columns.get("ppl_diff") is None
    assert (columns["ln_ppl_ratio"], columns["ppl_ratio"], columns["kld_mean"]) == (0, 1, 3)
    assert columns["inv_ppl_per_mb"] == pytest.approx(0)
    assert LARGEST_TOLD_APART == np.float32(2**24) == np.float32(2**24 + 1)


@pytest.mark.parametrize(("factor", "varies"), [(1.04, False), (1.06, True)])
def test_a_nearly_uniform_distribution_is_no_working_model(baseline, factor, varies):
    file = open_gguf(baseline)
    tokens = pl.DataFrame({"nll": [5.57, 5.58], "top_prob": [factor / 263] * 2})
    if varies:
        check_varying(file, tokens, "cuda")
        return
    with pytest.raises(SourceError, match=r"its logits do not vary: each of 263 tokens.* use --device cpu"):
        check_varying(file, tokens, "cuda")
