"""Methods at equal size: who is compared with whom, who leads, and that every page says the same."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from results_factory import make_results
from variant_rows import NONE, row

from dashboard.insights.bands import Band, bands, beaten_by_smaller, fullest, lowest
from dashboard.insights.claim_rules import Case
from dashboard.insights.claims import JUDGES
from dashboard.insights.compared_pair import chosen
from dashboard.insights.comparing import differences
from dashboard.insights.verdict import runs, verdict, where_each_leads
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection

SAMPLE = Path(__file__).parents[4] / "sample_results"
#: Tokens from which unpaired errors of the sample are narrow enough to show a lead, too.
MANY = 10_000


def file(method: str, size: float, kld: float, se: float = 0.001, **more: Any) -> dict[str, Any]:
    """A file of `size` MB; bits per weight are a tenth of that."""
    sizes = {"size_bytes": int(size * 1e6), "variant_id": f"{method}-{size}", "label": f"{method} {size}"}
    return (
        row(method, f"Q{size:g}", size / 10, math.expm1(kld)) | sizes | {"kld_mean": kld, "kld_se": se} | more
    )


def compared(*rows: dict[str, Any]) -> list[Band]:
    return bands(Scope(NONE, EVERYTHING), list(rows))


def test_files_of_one_size_are_compared_by_kld_and_not_by_perplexity() -> None:
    # Perplexity prefers b by far; KLD says a, by 0.05 with an error of √2 × 0.001.
    (band,) = compared(file("a", 50, 0.10, ln_ppl_ratio=0.3), file("b", 50.4, 0.15, ln_ppl_ratio=0.1))
    assert band.leader == "a"
    assert band.ranking.gaps["b"].value == pytest.approx(0.05)
    assert band.ranking.gaps["b"].se == pytest.approx(0.001 * math.sqrt(2))
    assert band.perplexity["b"].value == pytest.approx(-0.2)
    assert band.apart == pytest.approx(0.008)


def test_a_file_is_compared_with_the_nearest_one_only() -> None:
    found = compared(file("a", 50, 0.2), file("b", 50.5, 0.3), file("a", 50.8, 0.1), file("b", 51.0, 0.25))
    assert [sorted(item["size_bytes"] / 1e6 for item in band.files.values()) for band in found] == [
        [50.0, 50.5],
        [50.8, 51.0],
    ]


def test_a_smaller_file_counts_where_it_is_surely_closer_only() -> None:
    closer = compared(file("a", 40, 0.1), file("b", 50, 0.2))
    assert [(band.leader, band.smaller) for band in closer] == [("a", frozenset({"a"}))]
    # Smaller and worse, or smaller and as good within the error: nothing is told.
    assert compared(file("a", 40, 0.3), file("b", 50, 0.2)) == []
    assert compared(file("a", 40, 0.199), file("b", 50, 0.2)) == []


def test_without_kld_perplexity_decides_and_it_is_said() -> None:
    found = compared(file("a", 50, 0.1, kld_mean=None), file("b", 50, 0.2, kld_mean=None))
    assert [band.leader for band in found] == ["a"]
    assert "of equal size, as KLD was not measured; paired" in verdict(found).detail


def test_a_lead_within_the_noise_floor_is_none() -> None:
    floor = SimpleNamespace(kld_mean=0.02)
    manifest = SimpleNamespace(baseline_id="base", noise_floor=floor)
    noisy = cast(Results, SimpleNamespace(manifest=manifest, contrast=NONE.contrast))
    # 0.0210 ± 0.0028: outside its error, and not surely above 0.02.
    rows = [file("a", 50, 0.100), file("b", 50, 0.121)]
    assert bands(Scope(NONE, EVERYTHING), rows)[0].leader == "a"
    assert bands(Scope(noisy, EVERYTHING), rows)[0].leader is None


def test_one_of_many_sizes_seems_decided_by_chance() -> None:
    # 2.2 errors: outside one interval (1.960), inside those of three at once (2.394).
    near = 0.2 + 2.2 * 0.001 * math.sqrt(2)
    one = [file("a", 50, 0.2), file("b", 50, near)]
    more = [file(name, size, 0.2 - size / 1000) for name in "ab" for size in (60, 70)]
    assert [band.leader for band in compared(*one)] == ["a"]
    assert [band.leader for band in compared(*one, *more)] == [None, None, None]


def test_equal_methods_rarely_lead_anywhere() -> None:
    rng, trials, wrong = np.random.default_rng(0), 400, 0
    for _ in range(trials):
        rows = [
            file(name, size, 1 - size / 100 + rng.normal(scale=0.001))
            for name in "ab"
            for size in (40, 50, 60, 70)
        ]
        wrong += any(band.leader for band in compared(*rows))
    assert wrong / trials < 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


TWO_WINNERS = [
    *(file("a", size, kld) for size, kld in ((50, 0.4), (60, 0.2), (70, 0.06))),
    *(file("b", size, kld) for size, kld in ((50, 0.5), (60, 0.3), (70, 0.05))),
]


def test_a_verdict_names_the_sizes_of_every_leader() -> None:
    found = compared(*TWO_WINNERS)
    assert where_each_leads(found) == {"a": "up to 6.0 bits (Q60)", "b": "near 7.0 bits (Q70)"}
    said = verdict(found)
    assert said.kind == "finding"
    assert said.text == (
        "At equal size, closest to the baseline: a up to 6.0 bits (Q60) and b near 7.0 bits (Q70)."
    )
    assert "a 0.10 nats; b 0.010 nats" in said.detail


def test_bits_are_said_with_the_type_that_the_file_is_called_by() -> None:
    # Q4_K_M has 5 bits by measure: "up to 4.1 bits" must not be read as that file.
    names = {41: "Q3_K_M", 50: "Q4_K_M", 58: "Q5_K_M"}
    rows = [
        file(method, size, kld, quant=f"{prefix}{names[size]}")
        for method, prefix, klds in (("a", "", (0.4, 0.3, 0.2)), ("b", "UD-", (0.5, 0.3, 0.2)))
        for size, kld in zip(names, klds, strict=True)
    ]
    assert verdict(compared(*rows)).text == (
        "At equal size, closest to the baseline: a near 4.1 bits (Q3_K_M); "
        "a and b tied from 5.0 bits (Q4_K_M and UD-Q4_K_M) up."
    )
    alone = compared(*(item for item in rows if item["size_bytes"] > 45e6))
    assert verdict(alone, along="size").text == (
        "At equal size no method is clearly closest to the baseline: "
        "a and b tied from 50.0 MB (Q4_K_M and UD-Q4_K_M) to 58.0 MB (Q5_K_M and UD-Q5_K_M)."
    )


def test_a_size_that_a_leader_does_not_offer_does_not_end_its_run() -> None:
    rows = [*TWO_WINNERS, file("b", 55, 0.401), file("c", 55, 0.6)]
    found = compared(*rows)
    assert [(band.leader, band.absent) for band in found if "c" in band.files] == [("b", ("a",))]
    assert [(run.leader, len(run.bands)) for run in runs(found)] == [("a", 2), ("b", 1)]


def test_ties_and_unknown_errors_are_told_apart() -> None:
    even = [file("a", 50, 0.1), file("b", 50, 0.1)]
    assert (
        verdict(compared(*even)).text
        == "At equal size no method is clearly closest to the baseline: a and b tied near 5.0 bits (Q50)."
    )
    assert verdict(compared(*even)).kind == "tie"
    bare = [item | {"kld_se": None} for item in even]
    assert verdict(compared(*bare)).kind == "unknown"
    assert verdict([]).kind == "unknown"


def test_files_of_unequal_size_are_not_compared() -> None:
    # 1.2 % apart, and the larger one is closer: size may explain it.
    assert compared(file("a", 50.6, 0.1), file("b", 50, 0.2)) == []


def test_a_range_at_the_end_of_the_sizes_is_open() -> None:
    rows = [file(name, size, 0.5 - size / 200) for name in "ab" for size in (50, 60)]
    last = [*(file("a", size, kld) for size, kld in ((70, 0.05), (80, 0.03)))]
    last += [*(file("b", size, kld) for size, kld in ((70, 0.10), (80, 0.06)))]
    assert verdict(compared(*rows, *last)).text == (
        "At equal size, closest to the baseline: a from 7.0 bits (Q70) up; a and b tied up to 6.0 bits (Q60)."
    )


def test_under_the_resolution_of_tasks_a_lead_is_said_to_matter_little() -> None:
    # 0.008 + 1.96 × 0.0005 is under 0.01; 0.0095 + 1.96 × 0.0005 is not.
    small = [file("a", 80, 0.004, 0.0005), file("b", 80, 0.008, 0.0005)]
    (band,) = compared(*small)
    assert band.leader == "a"
    assert band.equivalent
    said = verdict([band])
    assert said.text == (
        "At equal size, closest to the baseline: a near 8.0 bits (Q80; equivalent for most uses)."
    )
    assert "every file under 0.01 nats" in said.detail
    (wider,) = compared(small[0], file("b", 80, 0.0095, 0.0005))
    assert not wider.equivalent
    assert "equivalent" not in verdict([wider]).text
    (unknown,) = compared(small[0], small[1] | {"kld_se": None})
    assert not unknown.equivalent, "an error that was not measured proves nothing"


def test_perplexity_is_told_beside_the_verdict() -> None:
    # At 50 MB perplexity prefers the other file, 0.2 with an error of √2 × 0.001; at 60 MB it agrees.
    found = compared(
        file("a", 50, 0.10, ln_ppl_ratio=0.3),
        file("b", 50, 0.15, ln_ppl_ratio=0.1),
        file("a", 60, 0.05, ln_ppl_ratio=0.05),
        file("b", 60, 0.08, ln_ppl_ratio=0.09),
    )
    assert (
        "perplexity agrees at 1 of 2 sizes with a lead, prefers another file at 1; " in verdict(found).detail
    )


def test_smaller_files_that_beat_larger_ones() -> None:
    rows = [file("a", 50, 0.1), file("b", 60, 0.2), file("b", 70, 0.101), file("c", 60.01, 0.05)]
    found = beaten_by_smaller(Scope(NONE, EVERYTHING), rows, rows)
    assert [(one["label"], other["label"]) for one, other in found] == [("b 60", "a 50"), ("b 70", "c 60.01")]


@pytest.fixture(scope="module", params=Results.open(SAMPLE).models)
def sample(request: pytest.FixtureRequest) -> Results:
    """The part of the sample about each of its models."""
    return Results.open(SAMPLE).of_model(request.param)


def test_the_sample_is_judged_as_its_files_were_measured(sample: Results) -> None:
    """Who leads has the lowest mean KLD in variants.parquet, and leads where that is many errors lower."""
    found = Case.of(Scope(sample, EVERYTHING)).bands
    kld, error = (
        dict(sample.variants.select("variant_id", name).iter_rows())
        for name in ("kld_mean", "kld_se_clustered")
    )
    named = 0
    for band in (band for band in found if len(band.files) > 1):
        ids = {str(item["variant_id"]): method for method, item in band.files.items()}
        best, second = sorted(ids, key=lambda name: kld[name])[:2]
        assert band.leader in (ids[best], None)
        if kld[second] - kld[best] > 5 * (error[best] + error[second]):
            assert band.leader == ids[best]
            named += 1
    assert named or sample.measured["n_tokens"].max() < MANY
    led = {band.leader for band in found if band.leader}
    assert all(leader in verdict(found).text for leader in led)


def test_the_least_size_is_compared_by_log_likelihood_too(sample: Results) -> None:
    small = lowest(Case.of(Scope(sample, EVERYTHING)).bands)
    assert small is not None
    ppl = {method: item["ppl"] for method, item in small.files.items()}
    for method, gap in small.perplexity.items():
        assert gap.value == pytest.approx(math.log(ppl[method] / ppl[small.ranking.best]), abs=5e-5)


def test_the_fullest_band_has_most_methods_and_of_those_the_smallest_files(sample: Results) -> None:
    compared = Case.of(Scope(sample, EVERYTHING)).bands
    full = fullest(compared)
    assert full is not None
    assert fullest([]) is None
    for band in compared:
        assert len(band.files) <= len(full.files)
        assert len(band.files) < len(full.files) or full.size <= band.size
    fewer = [dataclasses.replace(compared[0], files=dict(list(compared[0].files.items())[:1]))]
    assert fullest([*fewer, *compared]) is full


def test_compare_says_of_every_pair_what_the_verdict_says(sample: Results) -> None:
    labels = {name: str(label) for name, label in sample.labels.items()}
    told = 0
    for band in Case.of(Scope(sample, EVERYTHING)).bands:
        best = band.files[band.ranking.best]
        for method, other in band.files.items():
            if other is best:
                continue
            options = {"a": str(best["variant_id"]), "b": str(other["variant_id"])}
            pair = chosen(Scope(sample, Selection.of(options=options)))
            assert pair is not None
            kld = next(item for item in differences(Scope(sample), *pair) if item.metric == "Mean KLD")
            assert (kld.leader == 0) == (method in band.ranking.behind), labels[options["b"]]
            told += 1
    assert told


def test_claims_and_the_table_quote_the_verdict(sample: Results) -> None:
    case = Case.of(Scope(sample, EVERYTHING))
    said = {claim.text: claim for name in ("summary", "degradation") for claim in JUDGES.get(name)(case)}
    quality = said["bartowski is best for quality."]
    leading = where_each_leads(case.bands)
    assert (quality.verdict == "holds") == (set(leading) == {"bartowski"})
    for method, where in leading.items():
        assert f"{method} leads on quality {where}" in quality.evidence
    small = lowest(case.bands)
    assert small is not None
    low = said["bartowski keeps the highest relative accuracy at low bits."].verdict
    assert (low == "holds") == (small.leader == "bartowski")


def test_a_pair_that_leads_by_itself_only_is_tied_in_compare_too(tmp_path: Path) -> None:
    """What stands out of one interval and not out of those of all sizes at once is called tied on every page."""
    results = Results.open(make_results(tmp_path, methods=("a", "b"), windows=24))
    case = Case.of(Scope(results, EVERYTHING))
    band = next(band for band in case.bands if len(band.files) == 2)
    gap = next(iter(band.ranking.gaps.values()))
    wide = dataclasses.replace(band.ranking, floor=gap.value)
    first, second = (str(item["variant_id"]) for item in band.files.values())
    assert dataclasses.replace(band, ranking=wide).closer(first, second) == ""
    assert band.closer(first, "another") is None
