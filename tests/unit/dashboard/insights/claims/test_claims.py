"""Verdicts on data made to order, and on data that decide nothing."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
from results_factory import make_results
from variant_rows import NONE

from dashboard.insights.claim_rules import Case, below, leads, sign
from dashboard.insights.claims import JUDGES, every
from dashboard.insights.comparison import Ranking
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.views import registry

ALL = Selection()


@pytest.fixture(scope="module")
def three(three_methods: Path) -> Results:
    return Results.open(three_methods)


def verdicts(results: Results, name: str) -> dict[str, str]:
    return {claim.text: claim.verdict for claim in JUDGES.get(name)(Case.of(Scope(results, ALL)))}


def test_every_view_and_the_summary_have_claims() -> None:
    assert set(JUDGES.names()) == {view.id for view in registry()} | {"summary"}


def test_the_made_up_methods_are_judged_as_they_were_made(three: Results) -> None:
    """The factory gives bartowski the least noise, main the most, and nobody a faster kernel."""
    # bartowski rises 0.050 ± 0.087 nats less than unsloth, from files of 0.14 bits less.
    assert verdicts(three, "ppl-bits")["bartowski is the steadiest across bits."] == "unknown"
    assert (
        verdicts(three, "degradation")["bartowski keeps the highest relative accuracy at low bits."]
        == "holds"
    )
    assert verdicts(three, "degradation")["main degrades fastest below 4 bits."] == "holds"
    assert verdicts(three, "size")["main needs a larger file for the same quality."] == "holds"
    assert verdicts(three, "delta-logp")["main has the widest tails."] == "holds"
    assert verdicts(three, "speed")["unsloth is the fastest."] != "holds"


def test_every_claim_carries_evidence_without_broken_numbers(three: Results) -> None:
    found = every(Scope(three, ALL))
    assert sum(len(claims) for _, claims in found) >= 30
    for _, claims in found:
        for claim in claims:
            assert claim.evidence
            assert not any(word in claim.evidence.split() for word in ("nan", "inf", "None"))
            assert claim.wording in {"holds", "does not hold", "undecided", "cannot be tested here"}


def test_nothing_selected_means_nothing_can_be_tested(three: Results) -> None:
    for _, claims in every(Scope(three, Selection.of(methods=["absent"]))):
        assert {claim.verdict for claim in claims} == {"untestable"}


@pytest.mark.parametrize("methods", [("main",), ("main", "other"), ("bartowski", "unsloth")])
@pytest.mark.parametrize("quants", [("Q4_0",), ("Q5_K_M", "Q8_0")])
def test_each_claim_that_cannot_be_tested_says_what_is_missing(
    tmp_path: Path, methods: tuple[str, ...], quants: tuple[str, ...]
) -> None:
    folder = make_results(tmp_path, methods=methods, quants=quants, windows=4, with_layers=False)
    judged = [claim for _, claims in every(Scope(Results.open(folder))) for claim in claims]
    lacking = [claim for claim in judged if claim.verdict == "untestable"]
    assert len(lacking) > 5
    for claim in lacking:
        assert re.search(r"(^|\. )Missing: [^.]", claim.evidence), claim


def test_a_method_is_missing_in_the_folder_or_filtered_out(three: Results) -> None:
    filtered = Selection.of(methods=["main"])
    evidence = {claim.text: claim.evidence for _, claims in every(Scope(three, filtered)) for claim in claims}
    assert evidence["bartowski has the highest 1/PPL per MB."].startswith(
        "Missing: an intact file of bartowski among the selected ones"
    )


@pytest.mark.parametrize("quants", [("Q4_0",), ("Q4_0", "Q8_0"), ("Q2_K", "Q3_K_M", "Q4_0", "Q6_K", "Q8_0")])
def test_sparse_data_never_break_a_claim(tmp_path: Path, quants: tuple[str, ...]) -> None:
    bare: dict[str, Any] = {"with_layers": False, "with_speed": False}
    folder = make_results(tmp_path, methods=("main", "other"), quants=quants, windows=4, **bare)
    for path in (folder / "tokens").iterdir():
        path.unlink()
    found = dict(every(Scope(Results.open(folder), ALL)))
    for name in ("speed", "layers", "confidence", "delta-logp"):
        assert {claim.verdict for claim in found[name]} == {"untestable"}


RANKING = Ranking({"bartowski": Estimate(1, 0.1), "main": Estimate(2, 0.1)}, {"main": Estimate(1, 0.1)})
TIED = Ranking({"bartowski": Estimate(1, 0.1), "main": Estimate(2, 0.1)}, {"main": Estimate(1, 1)})
EQUAL = Ranking({"bartowski": Estimate(1, 0.1), "main": Estimate(1, 0.1)}, {"main": Estimate(0, 0)})


def two_methods() -> Case:
    rows = [
        {"method": name, "ln_ppl_ratio": 0.1, "bits_per_weight": 4.0, "variant_id": name, "model": "m"}
        for name in ("bartowski", "main")
    ]
    return Case(Scope(NONE, ALL), rows)


@pytest.mark.parametrize(
    ("method", "ranking", "verdict"),
    [
        ("bartowski", RANKING, "holds"),
        ("main", RANKING, "fails"),
        ("bartowski", TIED, "unknown"),
        ("bartowski", EQUAL, "fails"),
        ("main", TIED, "unknown"),
        ("unsloth", RANKING, "untestable"),
        ("bartowski", None, "untestable"),
    ],
)
def test_leads(method: str, ranking: Ranking | None, verdict: str) -> None:
    assert leads("c", two_methods(), method, ranking, str, "here").verdict == verdict


@pytest.mark.parametrize(("value", "verdict"), [(1.0, "holds"), (-1.0, "fails"), (0.1, "unknown")])
def test_sign(value: float, verdict: str) -> None:
    assert sign("c", Estimate(value, 0.1), "e").verdict == verdict


@pytest.mark.parametrize(
    ("values", "verdict"),
    [((0.1, 0.2), "holds"), ((0.1, 0.9), "fails"), ((0.1, 0.5), "unknown"), ((), "untestable")],
)
def test_below(values: tuple[float, ...], verdict: str) -> None:
    named = {str(value): Estimate(value, 0.05) for value in values}
    assert below("c", named, 0.5, "e").verdict == verdict


def test_below_with_unknown_errors_cannot_be_told() -> None:
    assert below("c", {"a": Estimate(0.1, math.inf)}, 0.5, "e").verdict == "unknown"
