"""Resources of a task and of a node, with Ray's names: CPUs, bytes of memory, GPUs."""

from __future__ import annotations

from collections.abc import Mapping

from evaluator.comparison.cluster.job import Job
from evaluator.support.units import GIGABYTE, counted

Resources = Mapping[str, float]


def resources_of(job: Job) -> dict[str, float]:
    """Return what a task takes."""
    if job.device == "cuda":
        return {"CPU": 1, "memory": job.memory_bytes, "GPU": 1}
    return {"CPU": job.threads, "memory": job.memory_bytes}


def fits(needed: Resources, node: Resources) -> bool:
    """Return whether a node has the resources."""
    return all(node.get(name, 0) >= amount for name, amount in needed.items())


def in_words(resources: Resources) -> str:
    """Return resources in words."""
    gpu = ", a GPU" if "GPU" in resources else ""
    return f"{counted(resources['CPU'], 'CPU')}{gpu} and {resources['memory'] / GIGABYTE:.1f} GB of memory"


def options_of(resources: Resources) -> dict[str, float]:
    """Return the options of a Ray task."""
    return {
        "num_cpus": resources["CPU"],
        "memory": int(resources["memory"]),
        "num_gpus": resources.get("GPU", 0),
    }
