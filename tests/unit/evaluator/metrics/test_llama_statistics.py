"""The numbers that `llama-perplexity --kl-divergence` prints, recomputed from the per-token values of that run."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from llama_base_file import read_base_file, token_values
from numpy_llama import log_softmax

from evaluator.metrics import TokenScores, measure

GOLDEN = Path(__file__).parents[3] / "golden"
LINE = re.compile(r"(?P<name>\S.*?)\s*:\s*(?P<value>-?[\d.]+)%?(?: ± +(?P<error>[\d.]+))?")
PERCENTILES = {
    "99.9%": "p999", "99.0%": "p990", "95.0%": "p950", "90.0%": "p900", "75.0%": "p750", "25.0%": "p250",
    "10.0%": "p100", "5.0%": "p050", "1.0%": "p010", "0.1%": "p001", "Maximum": "max", "Minimum": "min",
}  # fmt: skip
NAMES = {
    "Mean PPL(Q)": ("ppl", "ppl_se"),
    "Mean PPL(base)": ("baseline_ppl", "baseline_ppl_se"),
    "Cor(ln(PPL(Q)), ln(PPL(base)))": ("cor_ln_ppl", None),
    "Mean ln(PPL(Q)/PPL(base))": ("ln_ppl_ratio", "ln_ppl_ratio_se"),
    "Mean PPL(Q)/PPL(base)": ("ppl_ratio", "ppl_ratio_se"),
    "Mean PPL(Q)-PPL(base)": ("ppl_diff", "ppl_diff_se"),
    "Mean KLD": ("kld_mean", "kld_se"),
    "Median KLD": ("kld_median", None),
    "Mean Δp": ("delta_p_mean", "delta_p_se"),
    "Median Δp": ("delta_p_p500", None),
    "RMS Δp": ("delta_p_rms", "delta_p_rms_se"),
    "Same top p": ("same_top", "same_top_se"),
}
IN_PERCENT = {"cor_ln_ppl", "same_top", "same_top_se"}


def columns_of(name):
    if name in NAMES:
        return NAMES[name]
    which, what = name.split()
    return {"KLD": "kld", "Δp": "delta_p"}[what] + "_" + PERCENTILES[which], None


def printed():
    """Return (column, printed text) of every number in the output."""
    for line in (GOLDEN / "llama_kl_divergence.txt").read_text(encoding="utf-8").splitlines():
        match = LINE.match(line.strip())
        if match is not None:
            value, error = columns_of(" ".join(match["name"].split()))
            yield value, match["value"]
            if match["error"] is not None:
                yield error, match["error"]


@pytest.fixture(scope="module")
def tokens():
    return pl.read_parquet(GOLDEN / "llama_kl_divergence.parquet")


@pytest.fixture(scope="module")
def measured(tokens):
    values = {name: tokens[name].cast(pl.Float64).to_numpy() for name in tokens.columns if name != "window"}
    windows = tokens["window"].cast(pl.Int64).to_numpy()
    columns, warnings = measure(TokenScores(1, windows, **values))
    baseline, _ = measure(TokenScores(1, windows, values["baseline_nll"], values["top_prob"]))
    assert warnings == []
    return columns | {"baseline_ppl": baseline["ppl"], "baseline_ppl_se": baseline["ppl_se"]}


def test_printout_is_read_whole():
    assert len(list(printed())) == 11 + 13 + 19


@pytest.mark.parametrize(("column", "text"), list(printed()))
def test_statistic_agrees_to_the_printed_digits(measured, tokens, column, text):
    value = measured[column] * (100 if column in IN_PERCENT else 1)
    last_digit = 10.0 ** -len(text.partition(".")[2])
    assert abs(value - float(text)) <= 0.5 * last_digit * 1.001 + single_precision(column, tokens)


def single_precision(column, tokens):
    """Return the rounding error of a percentile: llama.cpp computes its position, up to 1,019, in float32."""
    if column != "kld_p999":
        return 0.0
    third, second = tokens["kld"].sort()[-3:-1]
    return (second - third) * float(np.spacing(np.float32(1019)))


def test_base_file_is_decoded_to_half_a_step(tmp_path):
    """Read a base file that was written by hand from the description of its format; compare with float64."""
    generator = np.random.default_rng(5)
    context, vocabulary = 8, 7
    logits, other = generator.normal(0, 3, (2, 3, vocabulary)).astype(np.float32)
    ids = generator.integers(0, vocabulary, context).astype(np.int32)
    payload = b"_logits_" + struct.pack("<3i", context, vocabulary, 1) + ids.tobytes()
    exact = log_softmax(logits.astype(np.float64))
    for row in exact:
        scale = (row.max() - row.min()) / 65535
        codes = np.rint((row - row.min()) / scale).astype(np.uint16)
        payload += struct.pack("<2f", scale, row.min()) + codes.tobytes() + b"\0\0"  # seven codes and padding
    (tmp_path / "base.dat").write_bytes(payload)
    base = read_base_file(tmp_path / "base.dat")
    assert base.targets.tolist() == [ids[5:].tolist()]
    variant = log_softmax(other.astype(np.float64))
    for place, decoded in enumerate(base.log_probs()):
        np.testing.assert_allclose(decoded, exact[place], atol=16 / 65535)
        found = token_values(decoded, other[place], int(ids[5 + place]))
        kld = float((np.exp(exact[place]) * (exact[place] - variant[place])).sum())
        assert found["kld"] == pytest.approx(kld, abs=5e-4)
        assert found["nll"] == pytest.approx(-variant[place, ids[5 + place]], abs=1e-5)
        assert found["top_prob"] == pytest.approx(math.exp(variant[place].max()), rel=1e-5)
        assert found["same_top"] == (variant[place].argmax() == exact[place].argmax())
