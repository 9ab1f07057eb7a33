"""Examples in the documents work: Python runs, and TOML is read by the project's readers."""

from __future__ import annotations

import inspect
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from documents import DOCUMENTS, README, ROOT, Block, blocks

from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.views import registry
from evaluator import metrics
from evaluator.planning.config import requested
from evaluator.quantize.recipe import choices

PYTHON = [block for document in DOCUMENTS for block in blocks(document, "python")]
TOML = [block for document in DOCUMENTS for block in blocks(document, "toml")]


def place_of(block: Block) -> str:
    """Return the path of an example's file, from its first line."""
    first = block.text.splitlines()[0]
    assert first.startswith("# "), f"{block.document.name}: name the file in the first line of {first!r}"
    return first.removeprefix("# ")


@pytest.fixture
def modules(monkeypatch):
    """Return the examples as modules, by path; their registrations are undone afterwards."""
    metrics.METRIC_FAMILIES.names()
    monkeypatch.setattr(metrics.METRIC_FAMILIES, "_entries", dict(metrics.METRIC_FAMILIES))
    made = {}
    for block in PYTHON:
        place = place_of(block)
        assert not (ROOT / place).exists(), f"{place} is no example any more"
        assert (ROOT / place).parent.is_dir(), place
        name = place.removesuffix(".py").replace("/", ".")
        made[place] = module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(block.text, place, "exec"), module.__dict__)
    return made


def test_tests_among_the_examples_pass(modules, request):
    tests = [
        function
        for place, module in modules.items()
        if place.startswith("tests/")
        for name, function in vars(module).items()
        if name.startswith("test_")
    ]
    assert len(tests) >= 2
    for function in tests:
        function(**{name: request.getfixturevalue(name) for name in inspect.signature(function).parameters})


def test_example_of_a_metric_is_a_family_among_the_others(modules):
    assert "evaluator/metrics/families/surprise.py" in modules
    assert metrics.METRIC_FAMILIES.get("surprise").columns
    positions = [each.position for _, each in metrics.METRIC_FAMILIES]
    assert len(set(positions)) == len(positions)
    columns = [column.name for _, each in metrics.METRIC_FAMILIES for column in each.columns]
    assert len(set(columns)) == len(columns)


def test_example_of_a_view_draws_what_was_chosen(modules, three_methods):
    view = modules["dashboard/views/agreement.py"].VIEW
    assert view.number == len(registry()) + 1
    scope = Scope(Results.open(three_methods))
    figure = view.figure(scope)
    drawn = {point[0] for trace in figure.data for point in trace.customdata}
    assert drawn == {row["variant_id"] for row in scope.rows}
    assert view.insights(scope)
    nobody = scope.narrowed(methods=frozenset({"nobody"}))
    assert "No selected variant" in view.headline(nobody)
    assert [insight.kind for insight in view.insights(nobody)] == ["unknown"]


@pytest.mark.parametrize("block", TOML, ids=lambda block: block.document.name)
def test_toml_is_read_by_what_reads_it(block, tmp_path):
    path = tmp_path / "example.toml"
    path.write_text(block.text, encoding="utf-8")
    if "baseline" in tomllib.loads(block.text):
        assert requested(str(path), {}).variants
    else:
        assert choices(str(path))


def test_comparison_of_the_readme_is_the_command_beside_it(tmp_path):
    (block,) = blocks(README, "toml")
    path = tmp_path / "comparison.toml"
    path.write_text(block.text, encoding="utf-8")
    comparison = requested(str(path), {})
    assert [(item.method, item.source) for item in comparison.variants] == [
        ("bartowski", "bartowski/*.gguf"),
        ("main", "stock/*.gguf"),
    ]
    assert comparison.out == Path("results")
