"""The evaluator's description of its options, and a tiny model to measure."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import write_tiny_llama

from dashboard.local.options import Options


@pytest.fixture(scope="session")
def options() -> Options:
    """What the installed evaluator says; asking takes a second."""
    return Options()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model and a text."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_llama(folder / "Tiny-F32.gguf")
    (folder / "prose.txt").write_text(
        "The other day the rain in the north ran over the garden wall. " * 8, encoding="utf-8"
    )
    return folder
