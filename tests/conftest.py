"""Synthetic results folders that several tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def three_methods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods, seven quant types, layers and speed."""
    from results_factory import make_results

    return make_results(tmp_path_factory.mktemp("three_methods"))


@pytest.fixture(scope="session")
def one_method(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One method, five quant types, neither layers nor speed."""
    from results_factory import make_results

    quants = ("Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
    folder = tmp_path_factory.mktemp("one_method")
    return make_results(folder, methods=("main",), quants=quants, with_layers=False, with_speed=False)
