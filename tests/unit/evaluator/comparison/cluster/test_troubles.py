"""How the troubles of nodes are told."""

from __future__ import annotations

import pytest

from evaluator.comparison.cluster.job import Trouble
from evaluator.comparison.cluster.node_check import NodeError
from evaluator.comparison.cluster.ray_cluster import in_full, in_short


def test_trouble_names_its_node_and_ends_the_run_only_if_the_node_is_at_fault():
    assert str(in_full("n1", Trouble("x.gguf: is gone"))) == "node n1: x.gguf: is gone"
    with pytest.raises(
        NodeError, match="node n1: no space left; repair the node or take it out of the cluster; "
    ):
        in_full("n1", Trouble("no space left", of_node=True))


def test_errors_of_ray_are_told_by_their_first_line():
    said = in_short(RuntimeError("System error: No module named 'evaluator'\ntraceback: …"))
    assert said.startswith(
        "System error: No module named 'evaluator'; install the same version of this program"
    )
    assert in_short(ValueError()).startswith("ValueError; ")
