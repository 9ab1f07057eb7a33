"""The claim that a q8_0 cache costs nothing, judged by the noise floor and the errors of both runs."""

import json
from pathlib import Path

import pytest
from cache_results import FIVE, FOUR, make_cache_results

from dashboard.insights.claims import claims_of
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from evaluator.results.files import MANIFEST_NAME
from evaluator.results.manifest import NoiseFloor

WORDING = "A q8_0 cache costs nothing measurable."
FLOOR = NoiseFloor(
    n_tokens=100,
    n_windows=10,
    kld_mean=0.0002,
    kld_se=None,
    kld_p990=0.001,
    ln_ppl_ratio=0.0,
    ln_ppl_ratio_se=None,
    same_top=1.0,
    same_top_se=None,
)


def judged(folder: Path, added: tuple[float, float], floor: NoiseFloor | None) -> dict[str, str]:
    """Return the verdicts and evidence by claim, if q8_0 adds so much to the KLD from each file's weights."""
    losses = {
        name: {"f16": 0.15, "q8_0": 0.15 + 100 * more} for name, more in zip((FOUR, FIVE), added, strict=True)
    }
    path = make_cache_results(folder, losses) / MANIFEST_NAME
    if floor is not None:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"noise_floor": floor.model_dump()}))
    claims = claims_of("size")(Scope(Results.open(folder)))
    return {claim.text: f"{claim.verdict}: {claim.evidence}" for claim in claims}


@pytest.mark.parametrize(
    ("added", "floor", "verdict"),
    [
        # The error of each difference is 1.4e-5, its 95 % interval for both files 2.32 (t of 46 degrees) times that.
        ((0.00001, 0.0001), FLOOR, "holds"),
        ((0.00001, 0.00019), FLOOR, "unknown"),
        ((0.00001, 0.0003), FLOOR, "fails"),
        ((0.0, 0.00001), None, "unknown"),
        ((0.0, 0.0001), None, "fails"),
    ],
)
def test_the_verdict(
    tmp_path: Path, added: tuple[float, float], floor: NoiseFloor | None, verdict: str
) -> None:
    assert judged(tmp_path, added, floor)[WORDING].startswith(f"{verdict}: ")


def test_the_evidence_names_the_largest_cost(tmp_path: Path) -> None:
    evidence = judged(tmp_path, (0.00001, 0.0003), FLOOR)[WORDING]
    assert "it adds at most 0.000300 ± 0.000033 nats" in evidence
    assert "(main Q5_K_M); rounding the baseline's weights to bf16 costs 0.00020." in evidence
    assert "1 of 2 files" in evidence


def test_without_types_of_the_cache_there_is_no_such_claim(three_methods: Path) -> None:
    claims = claims_of("size")(Scope(Results.open(three_methods)))
    assert WORDING not in [claim.text for claim in claims]
