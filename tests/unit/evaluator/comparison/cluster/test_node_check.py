"""Which differences make a node unusable."""

from __future__ import annotations

import numpy as np
import pytest

from evaluator.comparison.cluster.node_check import (
    NodeError,
    check_program,
    describe_node,
    device_here,
    disagreement,
    program,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("actual", "expected", "said"),
    [
        ([1.0, 8.0], [1.0, 8.0], None),
        ([1.0, 8.00007], [1.0, 8.0], None),
        ([1.0, 8.0002], [1.0, 8.0], "a token's nll is off by 2.5e-05"),
        ([0.00002, 8.0], [0.0, 8.0], "a token's nll is off by 2e-05"),
        ([NAN, 8.0], [NAN, 8.0], None),
        ([np.inf, 8.0], [NAN, 8.0], None),
        ([NAN, NAN], [NAN, NAN], None),
        ([1.0, NAN], [1.0, 8.0], "some tokens are finite only on one of the two"),
    ],
)
def test_nlls_agree_up_to_rounding(actual, expected, said):
    assert disagreement(np.array(actual, np.float32), np.array(expected, np.float32)) == said


def test_program_is_the_same_as_itself_and_no_other():
    check_program(program())
    for name in program():
        with pytest.raises(
            NodeError, match=rf"{name.partition(' ')[0]}.* is .*, and other where the run was"
        ):
            check_program({name: "other"})


def test_device_that_a_node_lacks_makes_it_unusable(monkeypatch):
    monkeypatch.setattr("evaluator.runtime.device.visible_gpus", list)
    with pytest.raises(
        NodeError, match="computes on cuda, which this node cannot: CUDA was requested, but no GPU"
    ):
        device_here("cuda", 1)
    device = device_here("cpu", 3)
    assert (device.name, device.threads) == ("cpu", 3)
    assert describe_node(device).gpu is None
