"""The noise floor stands beside what it was measured on, and nowhere else."""

from pathlib import Path
from typing import Any

from many_models import make_models
from results_factory import make_results
from variant_rows import FLOOR

from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.views import registry
from evaluator.results.reader import read_manifest


def with_noise_floor(folder: Path) -> Results:
    manifest = read_manifest(folder).model_copy(update={"noise_floor": FLOOR})
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return Results.open(folder)


def says_floor(results: Results, **filters: Any) -> set[str]:
    """Where view 2 speaks of the noise floor: in either drawing, in its insights, in its claims."""
    view, found = registry()[1], set()
    for loss in ("ppl", "kld"):
        drawn = view.figure(Scope(results, Selection.of(options={"loss": loss}, **filters)))
        if any("noise floor" in note.text for note in drawn.layout.annotations):
            assert any(shape.type == "rect" for shape in drawn.layout.shapes)
            found.add(loss)
    selection = Selection.of(**filters)
    if any("bf16" in insight.text for insight in view.insights(Scope(results, selection))):
        found.add("insights")
    if any("noise floor" in claim.evidence for claim in view.claims(Scope(results, selection))):
        found.add("claims")
    return found


def test_the_noise_floor_is_told_of_what_it_was_measured_on(tmp_path: Path) -> None:
    options: dict[str, Any] = {"methods": ("main",), "quants": ("Q4_0", "Q8_0"), "windows": 4}
    results = with_noise_floor(make_results(tmp_path / "one", **options))
    assert says_floor(results) == {"ppl", "kld", "insights", "claims"}
    assert says_floor(results, bins=[4]) == set()
    assert says_floor(results, domains=["code"]) == set()


def test_the_noise_floor_of_one_model_is_not_another_models(tmp_path: Path) -> None:
    options: dict[str, Any] = {"methods": ("main",), "quants": ("Q4_0", "Q8_0"), "windows": 4}
    results = with_noise_floor(make_models(tmp_path, ("First", "Second"), **options))
    assert says_floor(results, models=["First"]) == {"ppl", "kld", "insights", "claims"}
    assert says_floor(results, models=["Second"]) == set()
    assert not says_floor(results) & {"ppl", "kld"}, "two models in one picture"
