"""Between the scorer's arrays and the frames on disk."""

from __future__ import annotations

import numpy as np
import pytest

from evaluator.comparison.token_frames import token_frame
from evaluator.metrics.token_scores import token_scores
from evaluator.runtime.scoring import WindowScores
from evaluator.texts.windows import Window

WINDOWS = [Window(i, "d", np.arange(10 * i, 10 * i + 6, dtype=np.int32), 3) for i in range(2)]


def scores(nll, kld=None):
    kld = None if kld is None else np.array(kld, np.float32)
    same = None if kld is None else np.array([True, False])
    return WindowScores(np.array(nll, np.float32), np.array([0.5, 0.25], np.float32), kld, same)


BASELINE = token_frame(WINDOWS, [scores([1, 2]), scores([3, np.nan])])
VARIANT = token_frame(WINDOWS, [scores([1, np.inf], [0.1, 0.2]), scores([3, 4], [0.3, 0.4])])


def test_rows_are_in_window_order_with_positions_and_targets():
    assert VARIANT["window"].to_list() == [0, 0, 1, 1]
    assert VARIANT["position"].to_list() == [4, 5, 4, 5]
    assert VARIANT["token"].to_list() == [4, 5, 14, 15]
    assert VARIANT["domain"].cast(str).to_list() == ["d"] * 4
    assert VARIANT["same_top"].to_list() == [True, False, True, False]


def test_baseline_has_null_comparisons():
    assert BASELINE["kld"].null_count() == BASELINE["same_top"].null_count() == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value_that_is_not_finite_becomes_null(value):
    frame = token_frame(WINDOWS[:1], [scores([value, 2], [0.1, value])])
    assert frame["nll"].to_list() == [None, 2]
    assert frame["kld"].to_list() == [pytest.approx(0.1), None]
    assert frame["same_top"].to_list() == [True, None]  # no token was preferred, so none was another one


def test_tokens_not_finite_on_either_side_are_left_out_in_pairs():
    found, left_out = token_scores(VARIANT, BASELINE, 7)
    assert left_out == 2
    assert found.nll.tolist() == [1, 3]
    assert found.baseline_nll.tolist() == [1, 3]
    assert found.kld == pytest.approx([0.1, 0.3])
    assert found.same_top.tolist() == [1, 1]
    assert (found.windows.tolist(), found.size_bytes, found.nll.dtype) == ([0, 1], 7, np.float64)


def test_baseline_alone_counts_its_own():
    found, left_out = token_scores(BASELINE, None, 7)
    assert (left_out, found.nll.tolist(), found.kld) == (1, [1, 2, 3], None)


def test_frames_without_any_finite_token_give_empty_arrays():
    frame = token_frame(WINDOWS[:1], [scores([np.nan, np.nan])])
    found, left_out = token_scores(frame, None, 7)
    assert (left_out, len(found.nll), len(found.windows)) == (2, 0, 0)
