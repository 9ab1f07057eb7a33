"""What tests of all kinds share: a cache of their own, and synthetic results folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each of several processes that took all cores for its products would wait for the others, which costs CPU time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep a test run out of the user's cache; its processes share exported graphs, which take seconds each."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALUATOR_CACHE", str(folder / "cache"))
        yield


@pytest.fixture(scope="session")
def three_methods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods, seven quant types, layers and speed."""
    from results_factory import make_results

    return make_results(tmp_path_factory.mktemp("three_methods"))


@pytest.fixture(scope="session")
def two_engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods, run in llama.cpp and onnxruntime, whose orders by speed differ."""
    from results_factory import make_results

    folder = tmp_path_factory.mktemp("two_engines")
    return make_results(folder, with_layers=False, engines=("onnxruntime", "llama.cpp"))


@pytest.fixture(scope="session")
def one_method(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One method, five quant types, neither layers nor speed."""
    from results_factory import make_results

    quants = ("Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
    folder = tmp_path_factory.mktemp("one_method")
    return make_results(folder, methods=("main",), quants=quants, with_layers=False, with_speed=False)
