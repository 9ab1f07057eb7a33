"""Under a filter of the baseline's confidence, view 6 tells what variants keep there, and judges no shift."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from results_factory import BASELINE_ID

from dashboard.insights.claim_rules import Case
from dashboard.insights.claims import JUDGES
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.views import registry

VIEW = {view.id: view for view in registry()}["confidence"]
#: The inner edges of the bins.
EDGES = (0.25, 0.5, 0.75, 0.95)


@pytest.fixture(scope="module")
def three(three_methods: Path) -> Results:
    return Results.open(three_methods)


def filtered(results: Results, *bins: int, share: str = "change") -> Scope:
    return Scope(results, Selection.of(bins=bins, options={"share": share}))


def kept_of(folder: Path, variant_id: str, *bins: int) -> float:
    """Return the share of the baseline's tokens in bins that a variant has in them too, from the token files."""
    base, ours = (_bins(folder, name) for name in (BASELINE_ID, variant_id))
    there = np.isin(base, bins)
    return float(np.isin(ours[there], bins).mean())


def _bins(folder: Path, variant_id: str) -> NDArray[np.int64]:
    top = pl.read_parquet(folder / "tokens" / f"{variant_id}.parquet")["top_prob"].to_numpy()
    return (top[:, None] > np.array(EDGES)).sum(axis=1)


@pytest.mark.parametrize("bins", [(0,), (2,), (2, 3), (4,)])
def test_no_claim_of_shifts_is_judged_on_tokens_chosen_by_confidence(
    three: Results, bins: tuple[int, ...]
) -> None:
    claims = JUDGES.get("confidence")(Case.of(filtered(three, *bins)))
    assert {claim.verdict for claim in claims} == {"untestable"}
    assert all("remove the filter of confidence" in claim.evidence for claim in claims)
    assert {claim.text for claim in claims} == {
        claim.text for claim in JUDGES.get("confidence")(Case.of(filtered(three)))
    }


@pytest.mark.parametrize("share", ["change", "own", "baseline"])
@pytest.mark.parametrize(
    ("bins", "where"),
    [
        ((2,), "tokens with a top probability of 0.5–0.75"),
        ((2, 3), "tokens with a top probability of 0.5–0.75 and 0.75–0.95"),
        ((4,), "high-confidence tokens (top probability over 0.95)"),
    ],
)
def test_the_title_tells_what_variants_keep_of_the_filtered_tokens(
    three_methods: Path, three: Results, share: str, bins: tuple[int, ...], where: str
) -> None:
    title = VIEW.headline(filtered(three, *bins, share=share))
    assert title.startswith(f"Of the baseline's {where}, ")
    assert "fewer" not in title
    assert " ± " in title
    if share != "baseline":
        shares = {name: kept_of(three_methods, name, *bins) for name in three.measured["variant_id"]}
        least = min(shares, key=lambda name: shares[name])
        assert f"{three.labels[least]} keeps {100 * shares[least]:.1f} ± " in title


def test_statements_under_the_filter_do_not_compare_shares_with_the_baselines(three: Results) -> None:
    said = " ".join(item.text for item in VIEW.insights(filtered(three, 2)))
    assert "As many high-confidence tokens" not in said
    assert "loses" not in said
    assert "Of the tokens in the filter, main Q2_K has " in said
    assert " keeps the most of the baseline's tokens at 0.5–0.75" in said or " kept there, " in said
    assert [
        item for item in VIEW.insights(filtered(three)) if " loses the most high-confidence " in item.text
    ]


def test_the_filter_is_explained_beside_the_chart(three: Results) -> None:
    assert "only have fewer there" in VIEW.captioned(filtered(three, 2))
    assert "only have fewer there" not in VIEW.captioned(filtered(three))


@pytest.mark.parametrize("bins", [(2,), (2, 3)])
def test_the_bar_that_stands_out_is_of_the_file_in_the_title(three: Results, bins: tuple[int, ...]) -> None:
    figure = VIEW.figure(filtered(three, *bins))
    ticks = [text for text in figure.layout.yaxis.ticktext if "<b>" in text and "Q2_K" in text]
    assert len(ticks) == 1
    assert figure.layout.yaxis.ticktext[0] == "<b>main</b>"


def test_the_data_are_what_the_chart_draws(three: Results) -> None:
    changes = VIEW.data(filtered(three))
    assert changes.columns[-4:] == ["share", "baseline_share", "change", "half_width"]
    assert set(changes["variant_id"]) == set(three.measured["variant_id"])
    drawn = {
        (point[0], trace.meta["bin"]): (value, half)
        for trace in VIEW.figure(filtered(three)).data
        if trace.type == "bar"
        for point, value, half in zip(trace.customdata, trace.x, trace.error_x.array, strict=True)
    }
    names = ["0–0.25", "0.25–0.5", "0.5–0.75", "0.75–0.95", "0.95–1"]
    subject = max(drawn, key=lambda key: abs(drawn[key][0]))
    for line in changes.iter_rows(named=True):
        key = (line["variant_id"], names.index(line["top_prob"]))
        assert drawn[key][0] == pytest.approx(100 * line["change"])
        assert line["share"] - line["baseline_share"] == pytest.approx(line["change"])
        if key == subject:
            assert drawn[key][1] == pytest.approx(100 * line["half_width"])
    assert changes.group_by("variant_id").agg(pl.col("change").sum().abs())["change"].max() < 1e-9  # type: ignore[operator]  # a number
    assert VIEW.data(filtered(three, share="own")).equals(changes)
    assert "bin4" in VIEW.data(filtered(three, share="baseline")).columns
    assert VIEW.data(Scope(three, Selection.of(methods=["none"]))).columns == changes.columns
