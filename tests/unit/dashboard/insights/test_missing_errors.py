"""Where an error was not measured, nothing is found, tied or bounded: the sentences say what is missing."""

import re
from typing import Any

import polars as pl
import pytest
from results_factory import make_results
from variant_rows import FLOOR

from dashboard.insights import Insight
from dashboard.insights.claim_rules import below, sign
from dashboard.insights.claims import every
from dashboard.insights.comparison import Ranking, tie
from dashboard.insights.losses import against_noise, at_eight, at_four, blind_spot, worst_rise
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING
from dashboard.results.statistics import Estimate
from dashboard.shell.render import render
from dashboard.views import registry

ADDRESSES = ["/", "/summary", *(f"/{view.id}" for view in registry())]
UNKNOWN = float("inf")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Neither token files nor any error."""
    folder = make_results(tmp_path_factory.mktemp("bare"), windows=8, with_layers=False)
    for path in (folder / "tokens").iterdir():
        path.unlink()
    path = folder / "variants.parquet"
    frame = pl.read_parquet(path)
    errors = [name for name in frame.columns if "_se" in name]
    frame.with_columns([pl.lit(None, pl.Float64).alias(name) for name in errors]).write_parquet(path)
    return Results.open(folder)


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_infinite_number_is_written(bare: Results, address: str) -> None:
    page = render(bare, address, EVERYTHING)
    said = [page.title, *(f"{item.text} {item.detail}" for item in page.insights)]
    assert not [text for text in said if re.search(r"\b(inf|nan)\b", text)]


def test_no_claim_is_decided_by_errors_that_nobody_measured(bare: Results) -> None:
    found = {claim.text: claim for _, claims in every(Scope(bare, EVERYTHING)) for claim in claims}
    assert not [claim for claim in found.values() if re.search(r"\b(inf|nan)\b", claim.evidence)]
    eight = found["8 bits costs almost nothing, with any method."]
    assert eight.verdict == "unknown"
    assert "its error was not measured" in eight.evidence
    assert "within its error" not in found["bartowski is the steadiest across bits."].evidence


@pytest.mark.parametrize("address", ["/", "/summary"])
def test_the_takeaways_say_so(bare: Results, address: str) -> None:
    said = [item for item in render(bare, address, EVERYTHING).insights if item.text.startswith("8 bits")]
    assert [item.kind for item in said] == ["unknown"]
    assert "but its error was not measured" in said[0].text


def row(bits: float, se: float | None, **more: Any) -> dict[str, Any]:
    return {
        "variant_id": f"v{bits}",
        "label": f"a {bits}",
        "bits_per_weight": bits,
        "ln_ppl_ratio": 0.01,
        "ln_ppl_ratio_se": se,
        "kld_mean": 0.02,
        "kld_se": se,
        "same_top": None,
        **more,
    }


def test_a_known_error_bounds_the_rise() -> None:
    # exp(0.01 + 1.96 × 0.001) − 1 = 1.203 %.
    assert worst_rise([row(8, 0.001), row(8.5, 0.0001)]) == ("at most +1.20 % (a 8)", True)
    text, known = worst_rise([row(8, 0.001), row(8.5, None)])
    assert (text, known) == ("+1.01 % (a 8.5), but its error was not measured", False)
    assert at_eight([row(8, 0.001)]).kind == "finding"
    assert at_eight([row(8, None)]).kind == "unknown"


def test_the_ratio_of_perplexity_at_four_bits() -> None:
    known, unknown = at_four([row(4.5, 0.001)]), at_four([row(4.5, None)])
    assert known.text.endswith(": PPL of the baseline / PPL is 99.0 % (98.8 %–99.2 %).")
    assert (unknown.kind, known.kind) == ("unknown", "finding")
    assert unknown.text.endswith("PPL is 99.0 %, but its error was not measured.")


def test_rounding_and_blind_spots_need_errors() -> None:
    found = against_noise([row(8, None)], FLOOR)
    assert isinstance(found, Insight)
    assert found.kind == "unknown"
    both = against_noise([row(8, None), row(4, 0.001)], FLOOR)
    assert both is not None
    assert "a 4, 50 ×" in both.text
    assert blind_spot([row(8, None, kld_se=0.001)]) is None


def test_a_single_window_ties_nobody() -> None:
    values = {"a": Estimate(0, UNKNOWN, 0), "b": Estimate(1, UNKNOWN, 0)}
    unmeasured = Ranking(values, {"b": Estimate(1, UNKNOWN, 0)})
    assert unmeasured.undecided == "unknown"
    assert tie(unmeasured) == "a and b are undecided, because the error was not measured"
    assert Ranking(values, {"b": Estimate(1, 1)}).undecided == "tie"
    assert "its error was not measured" in sign("c", Estimate(1, UNKNOWN), "e").evidence.lower()
    assert "Not every error was measured" in below("c", {"a": Estimate(1, UNKNOWN)}, 2, "e").evidence
