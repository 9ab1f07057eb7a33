"""1/PPL per MB has the error of the perplexity: files within it are tied, and no claim rests on one of them."""

from typing import Any

import pytest
from variant_rows import NONE, row

from dashboard.insights.claim_rules import Case
from dashboard.insights.claims import JUDGES
from dashboard.insights.efficiency import above_floor, highest, most_efficient, rank_efficiency
from dashboard.results.scope import Scope

SCOPE = Scope(NONE)


def file(
    method: str, quant: str, bits: float, rise: float, se: float = 0.001, size: float = 0
) -> dict[str, Any]:
    """Return a variant with a size of `size` MB, or as its bits say."""
    made = row(method, quant, bits, rise, se, failure=None)
    size = size or bits
    return made | {"size_bytes": round(size * 1e6), "inv_ppl_per_mb": 1 / made["ppl"] / size}


Q4, Q5 = file("a", "Q4", 4.5, 0.01), file("a", "Q5", 5.5, 0.005)
LIKE_Q4 = file("b", "Q4", 4.5, 0.011)
BELOW = file("a", "Q2", 2.5, 0.5)


def test_a_file_ahead_by_more_than_the_error_is_the_most_efficient() -> None:
    told = above_floor(SCOPE, [Q4, Q5, BELOW])
    assert told.kind == "finding"
    assert told.text == "Above the quality floor a Q4 is the most efficient: 1/PPL per MB = 2200 × 10⁻⁵."


def test_files_within_the_error_are_tied() -> None:
    told = above_floor(SCOPE, [Q4, LIKE_Q4, Q5])
    assert told.kind == "tie"
    assert told.text.startswith("Above the quality floor, by 1/PPL per MB, a Q4 and b Q4 are tied: ")
    top = highest(SCOPE, [Q4, LIKE_Q4, Q5])
    assert top is not None
    assert top.kind == "tie"
    assert top.text.startswith("At the top by 1/PPL per MB, a Q4 and b Q4 are tied: ")
    assert "the smallest file is among them" in top.detail


def test_a_smaller_file_is_behind_if_its_loss_is_more_than_its_size() -> None:
    """Half the size and twice the perplexity is the same 1/PPL per MB."""
    assert len(most_efficient(SCOPE, [Q4, file("a", "Q2", 2.25, 1.02)])) == 2
    assert most_efficient(SCOPE, [Q4, file("a", "Q2", 2.25, 1.2)]) == [Q4]
    gap = rank_efficiency(SCOPE, [Q4, Q5]).gaps["a Q5"]
    # ln(1.005 / 1.01) + ln(5.5 / 4.5); both errors are 0.001.
    assert gap.value == pytest.approx(0.195708, abs=1e-5)
    assert gap.se == pytest.approx(0.001 * 2**0.5)


def test_headers_decide_nothing() -> None:
    copy = file("b", "Q4", 4.5, 0.01, 0.0, 4.5003)
    assert most_efficient(SCOPE, [file("a", "Q4", 4.5, 0.01, 0.0), copy])[1:] == [copy]


def test_unknown_errors_leave_it_undecided() -> None:
    told = above_floor(
        SCOPE, [file("a", "Q4", 4.5, 0.01), Q5 | {"ln_ppl_ratio": 0.006, "ln_ppl_ratio_se": 0.001}]
    )
    assert told.kind == "finding"
    top = highest(SCOPE, [file("a", "Q4", 4.5, 0.01, float("inf")), file("b", "Q4", 4.5, 0.02, float("inf"))])
    assert top is not None
    assert top.kind == "unknown"
    assert "are undecided, because the error was not measured" in top.text


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([Q4, Q5], "holds"),
        ([Q4, LIKE_Q4], "holds"),
        ([Q5, file("b", "Q5", 5.5, 0.0051)], "fails"),
        # 4.97 and 5.02 bits in the same bytes: one of them is not of 4 bits.
        ([file("a", "Q4", 4.97, 0.01, 0.001, 5), file("b", "Q4", 5.02, 0.0101, 0.001, 5)], "unknown"),
    ],
)
def test_four_bits_are_the_most_efficient_if_all_that_may_be_so_have_them(
    rows: list[dict[str, Any]], verdict: str
) -> None:
    case = Case(SCOPE, rows)
    claim = next(claim for claim in JUDGES.get("size")(case) if claim.text == "4 bits is the most efficient.")
    assert claim.verdict == verdict
    assert claim.evidence.startswith("Among files under +3 % perplexity ")
