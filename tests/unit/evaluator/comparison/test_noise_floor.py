"""The noise floor: how large the noise is, where it goes, and what is made of it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from evaluator.comparison.noise_floor import Bf16Noise, add_bf16_noise, floor_windows, noise_floor


@pytest.fixture(scope="module")
def weights():
    return (0.05 * np.random.default_rng(0).standard_normal((500, 400))).astype(np.float32)


def with_bf16_noise(values, seed):
    noisy = values.copy()
    add_bf16_noise(noisy, seed)
    return noisy


def test_noise_is_as_large_as_the_error_of_rounding_to_bf16(weights):
    rounded = torch.from_numpy(weights).bfloat16().float().numpy()
    noise, error = with_bf16_noise(weights, 1) - weights, rounded - weights
    assert noise.std() == pytest.approx(error.std(), rel=0.01)
    assert np.abs(noise).max() == pytest.approx(np.abs(error).max(), rel=0.05)
    assert abs(noise.mean()) < 3 * noise.std() / np.sqrt(noise.size)


def test_no_weight_moves_by_more_than_half_a_step(weights):
    _, exponent = np.frexp(weights)
    half_a_step = np.ldexp(1.0, exponent - 9)  # eight significant bits
    assert (np.abs(with_bf16_noise(weights, 1) - weights) <= half_a_step * 1.0001).all()


def test_noise_is_there_for_weights_that_bf16_holds_exactly(weights):
    exact = torch.from_numpy(weights).bfloat16().float().numpy()
    assert (with_bf16_noise(exact, 1) != exact).mean() > 0.99


@pytest.mark.parametrize("value", [0.0, -0.0])
def test_zero_stays_zero(value):
    assert (with_bf16_noise(np.full((3, 3), value, np.float32), 1) == 0).all()


def test_matrices_get_noise_of_their_own_and_vectors_none(tiny):
    noisy = Bf16Noise.of(tiny)
    assert np.array_equal(noisy.dequantize("output_norm.weight"), tiny.dequantize("output_norm.weight"))
    first = noisy.dequantize("blk.0.attn_q.weight")
    assert not np.array_equal(first, tiny.dequantize("blk.0.attn_q.weight"))
    assert np.array_equal(first, noisy.dequantize("blk.0.attn_q.weight"))
    change = [
        noisy.dequantize(name) / tiny.dequantize(name)
        for name in ("blk.0.attn_q.weight", "blk.1.attn_q.weight")
    ]
    assert not np.array_equal(*change)
    assert (noisy.architecture, noisy.n_params, noisy.files) == (tiny.architecture, tiny.n_params, tiny.files)


@pytest.mark.parametrize("columns", [400, 33])
def test_noise_of_rows_is_that_of_the_whole_tensor(columns):
    values = np.random.default_rng(2).standard_normal((4000, columns)).astype(np.float32)
    whole = with_bf16_noise(values, 7)
    for start, stop in ((0, 1), (1, 64), (333, 1009), (3999, 4000)):
        part = values[start:stop].copy()
        add_bf16_noise(part, 7, start)
        np.testing.assert_array_equal(part, whole[start:stop])
    changes = whole / values
    assert len(np.unique(changes[:, :8], axis=0)) == len(values)


def test_numbers_of_a_tensor_are_one_stream():
    values = np.ones((4000, 400), np.float32)
    drawn = np.random.default_rng(7).random(values.shape, np.float32) - np.float32(0.5)
    np.testing.assert_array_equal(with_bf16_noise(values, 7), values + drawn * np.float32(2**-7))


@pytest.mark.parametrize("name", ["token_embd.weight", "blk.1.ffn_up.weight", "output_norm.weight"])
def test_rows_read_alone_have_the_noise_of_the_whole(tiny, name):
    noisy = Bf16Noise.of(tiny)
    whole = noisy.dequantize(name).reshape(noisy.tensor(name).n_rows, -1)
    rows = np.array([len(whole) - 1, 0, 0, len(whole) // 2])
    np.testing.assert_array_equal(noisy.gathered_rows(name, rows), whole[rows])
    read = noisy.row_reader(name)
    out = np.empty_like(whole[:3])
    assert read(0, len(out), out) is out
    np.testing.assert_array_equal(out, whole[:3])
    np.testing.assert_array_equal(read(len(whole) // 3, len(whole)), whole[len(whole) // 3 :])


@pytest.mark.parametrize(
    ("n", "chosen"), [(1, [0]), (3, [0, 1, 2]), (16, list(range(16))), (31, list(range(0, 31, 2)))]
)
def test_windows_are_spread_over_all_and_never_many(n, chosen):
    assert list(floor_windows(n)) == chosen


def frames():
    windows = {"window": [0, 0, 1, 1], "position": [5, 6, 5, 6], "token": [1, 2, 3, 4], "domain": ["a"] * 4}
    baseline = pl.DataFrame(windows | {"nll": [1.0, 2.0, 3.0, 4.0], "top_prob": [0.5] * 4})
    noisy = pl.DataFrame(windows | {"nll": [9.0, 9.0, 3.1, 4.3], "top_prob": [0.5] * 4})
    return noisy.with_columns(
        kld=pl.Series([9.0, 9.0, 0.01, 0.03]), same_top=pl.Series([False, False, True, True])
    ), baseline


def test_floor_is_measured_on_the_chosen_windows():
    noisy, baseline = frames()
    floor = noise_floor(noisy.filter(pl.col("window") == 1), baseline)
    assert (floor.n_tokens, floor.n_windows) == (2, 1)
    assert (floor.kld_mean, floor.ln_ppl_ratio, floor.same_top) == pytest.approx((0.02, 0.2, 1.0))
    assert (floor.kld_se, floor.ln_ppl_ratio_se) == (None, None)


def test_floor_of_nothing_finite_is_none():
    noisy, baseline = frames()
    assert noise_floor(noisy.with_columns(nll=pl.lit(None, pl.Float64)), baseline) is None
