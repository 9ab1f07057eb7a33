"""Tests mirror the packages, and shared test code is in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from documents import ROOT

UNIT = ROOT / "tests" / "unit"
TESTS = sorted(UNIT.rglob("test_*.py"))
LONGEST = 300
PYTHON = [
    path for tree in ("dashboard", "evaluator", "tests") for path in sorted((ROOT / tree).rglob("*.py"))
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("folder", sorted({path.parent for path in TESTS}), ids=name_of)
def test_folders_of_unit_tests_are_packages(folder):
    assert (ROOT / folder.relative_to(UNIT) / "__init__.py").is_file()


def test_helpers_lie_among_the_helpers():
    """Test folders contain only tests and fixtures."""
    for tree in ("unit", "browser", "integration", "docs"):
        for path in (ROOT / "tests" / tree).rglob("*.py"):
            assert path.name.startswith("test_") or path.name == "conftest.py", name_of(path)


def test_every_helper_is_used():
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}
    for path in (ROOT / "tests" / "helpers").glob("*.py"):
        assert any(
            f"from {path.stem} import" in text or f"import {path.stem}" in text for text in texts.values()
        )


def test_no_two_tests_of_a_file_share_a_name():
    """The second would replace the first, which would never run."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        found = [
            node.name
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef)
        ]
        assert len(found) == len(set(found)), name_of(path)


def test_files_stay_readable():
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    assert [name for name, lines in lengths.items() if lines > LONGEST] == []
