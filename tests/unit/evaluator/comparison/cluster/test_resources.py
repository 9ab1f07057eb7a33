"""What a task asks for, and which node has it."""

from __future__ import annotations

from types import SimpleNamespace

from evaluator.comparison.cluster.resources import fits, in_words, options_of, resources_of

ON_CPU = resources_of(SimpleNamespace(device="cpu", threads=4, memory_bytes=1_500_000_000))
ON_GPU = resources_of(SimpleNamespace(device="cuda", threads=4, memory_bytes=1_500_000_000))


def test_task_asks_for_its_threads_or_for_a_gpu():
    assert options_of(ON_CPU) == {"num_cpus": 4, "num_gpus": 0, "memory": 1_500_000_000}
    assert options_of(ON_GPU) == {"num_cpus": 1, "num_gpus": 1, "memory": 1_500_000_000}
    assert in_words(ON_CPU) == "4 CPUs and 1.5 GB of memory"
    assert in_words(ON_GPU) == "1 CPU, a GPU and 1.5 GB of memory"


def test_node_fits_if_it_has_everything():
    node = {"CPU": 4.0, "memory": 2e9, "node:10.0.0.1": 1.0}
    assert fits(ON_CPU, node)
    assert not fits(ON_GPU, node)
    assert fits(ON_GPU, node | {"GPU": 2.0})
    assert not fits(ON_CPU, node | {"CPU": 3.0})
    assert not fits(ON_CPU, node | {"memory": 1e9})
    assert not fits(ON_CPU, {"GPU": 8.0})
