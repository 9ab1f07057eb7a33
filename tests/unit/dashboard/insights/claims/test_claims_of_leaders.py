"""Claims of view 8 say which files they compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.insights.claim_rules import Case
from dashboard.insights.claims import JUDGES
from dashboard.insights.matching import one_type
from dashboard.results.one_model import one_model
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection

SAMPLE = Path(__file__).parents[5] / "sample_results"


@pytest.mark.parametrize("model", ["Qwen2.5-Coder-1.5B-Instruct", "SmolLM2-135M-Instruct"])
def test_the_types_of_the_compared_files_end_the_evidence(model: str) -> None:
    scope = Scope(*one_model(Selection.of(models=[model]), Results.open(SAMPLE)))
    case = Case.of(scope)
    types = sorted({row["quant"] for row in one_type(case.compared)})
    claims = JUDGES.get("radar")(case)
    assert len(claims) == 4
    for claim in claims:
        assert claim.verdict != "untestable"
        assert claim.evidence.endswith(f". Files: {' and '.join(types)}.")
