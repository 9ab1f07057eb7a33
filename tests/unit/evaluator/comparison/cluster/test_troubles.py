"""How the troubles of nodes are told."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from evaluator.comparison.cluster import ray_cluster
from evaluator.comparison.cluster.job import Trouble
from evaluator.comparison.cluster.node_check import NodeError
from evaluator.comparison.cluster.ray_cluster import RayCluster, in_full, in_short
from evaluator.support.errors import EvaluatorError


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


@pytest.mark.parametrize("lost_at", ["put", "nodes", "wait", "get"])
def test_lost_connection_is_no_trouble_of_the_disk_or_of_a_node(monkeypatch, lost_at):
    """Ray's client raises Python's `ConnectionError`, which is an `OSError`."""

    def lost(*_, **__):
        raise ConnectionError("Client is not connected")

    task = SimpleNamespace(remote=lambda *_: "a")
    working = {
        "put": lambda _: "job",
        "nodes": lambda: [{"Alive": True, "Resources": {"CPU": 8.0}}],
        "wait": lambda *_, **__: (["a"], []),
        "get": None,
        "remote": lambda _: SimpleNamespace(options=lambda **_: task),
        "exceptions": SimpleNamespace(RayTaskError=KeyError, RayError=RuntimeError),
    }
    monkeypatch.setattr(ray_cluster, "resources_of", lambda _: {"CPU": 1.0})
    monkeypatch.setattr(ray_cluster, "options_of", lambda _: {})
    monkeypatch.setattr(ray_cluster, "reference_of", lambda _: None)
    progress = SimpleNamespace(step=lambda _: None)
    cluster = RayCluster("ray://head:10001", 1, lambda: SimpleNamespace(key="run"), progress)
    cluster._ray = SimpleNamespace(**(working | {lost_at: lost}))
    with pytest.raises(
        EvaluatorError, match=r"--cluster ray://head:10001: the connection was lost; what was"
    ):
        cluster.score([SimpleNamespace(variant_id="v")], None, None)
