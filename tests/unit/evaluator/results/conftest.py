"""A results folder that is locked by a run."""

from __future__ import annotations

import pytest
from results_store_cases import manifest

from evaluator.results.store import ResultsStore


@pytest.fixture
def store(tmp_path):
    with ResultsStore(tmp_path / "out") as store:
        store.prepare(manifest(), force=False)
        yield store
