"""Broken uploads are named first and take no part in verdicts, claims and recommendations."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from broken_files import BROKEN, GARBLED, make_same_type, spoil
from results_factory import make_results

from dashboard.export.exhibit import exhibits
from dashboard.insights import Insight
from dashboard.insights.claim_rules import Case
from dashboard.insights.claims import every
from dashboard.insights.faults import broken_files, faults, same_weights, sound, warnings
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.render import render
from dashboard.views import home, registry

ADDRESSES = ["/", "/summary", "/explore", *(f"/{view.id}" for view in registry())]

SAMPLE = Path(__file__).parents[4] / "sample_results"


def said(results: Results, address: str, selection: Selection = EVERYTHING) -> list[Insight]:
    return list(render(results, address, selection).insights)


@pytest.fixture(scope="module")
def same_type(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Three Q4_K_M of one size; unsloth's loses 2.0 nats where the others lose 0.05, one matrix has error 1.41."""
    return Results.open(make_same_type(tmp_path_factory.mktemp("same_type")))


@pytest.fixture(scope="module")
def broken_top(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Seven types; unsloth's largest loses 0.8 nats of KLD and 0.5 of perplexity."""
    folder = make_results(tmp_path_factory.mktemp("top"))
    spoil(folder, "unsloth-q8_0", kld=0.8, rise=0.5)
    return Results.open(folder)


def test_a_broken_file_among_three_of_one_type(same_type: Results) -> None:
    assert list(faults(same_type)) == [BROKEN]
    fault = faults(same_type)[BROKEN]
    assert fault.broken
    assert [(item.layer, item.role, item.error) for item in fault.matrices] == [(*GARBLED, 1.41)]
    assert "it loses 40 × as much as main Q4_K_M, of the same type" in fault.reason
    assert "ffn_down of layer 3 does not hold the baseline's weights (relative error 1.41" in fault.reason
    assert "Q4_K usually 0.0050" in fault.reason


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_that_shows_it_says_so_first(same_type: Results, address: str) -> None:
    first = said(same_type, address)[0]
    assert first.kind == "caution"
    assert first.text.startswith("unsloth Q4_K_M looks broken")
    others = Selection.of(methods=["main", "bartowski"])
    assert not [item for item in said(same_type, address, others) if "looks broken" in item.text]


def test_exports_say_so_too(same_type: Results) -> None:
    for shown in exhibits(Scope(same_type, EVERYTHING)):
        if not shown.reason:
            assert "looks broken" in shown.insights[0].text


def test_compare_warns_of_the_pair_it_shows(same_type: Results) -> None:
    names = {"a": BROKEN, "b": "main-q4_k_m"}
    assert "looks broken" in said(same_type, "/compare", Selection.of(options=names))[0].text
    healthy = Selection.of(options={"a": "bartowski-q4_k_m", "b": "main-q4_k_m"})
    assert not [item for item in said(same_type, "/compare", healthy) if "looks broken" in item.text]


@pytest.mark.parametrize("address", ["/speed", "/radar"])
def test_a_broken_file_that_is_the_fastest_is_not_praised_for_it(tmp_path: Path, address: str) -> None:
    folder = make_same_type(tmp_path)
    path = folder / "variants.parquet"
    times = {
        name: pl.when(pl.col("variant_id") == BROKEN).then(0.1).otherwise(name)
        for name in ("decode_ms_p10", "decode_ms_p50", "decode_ms_p90")
    }
    pl.read_parquet(path).with_columns(**times).write_parquet(path)
    page = render(Results.open(folder), address, EVERYTHING)
    assert "unsloth" not in page.title
    assert not [item for item in page.insights[1:] if item.kind == "finding" and "unsloth" in item.text]


def test_it_is_neither_recommended_nor_judged(same_type: Results) -> None:
    only = Selection.of(only=[BROKEN])
    assert home.headline(Scope(same_type, only)).startswith("No file can be recommended")
    assert "Run unsloth" not in render(same_type, "/", EVERYTHING).title
    assert BROKEN not in {row["variant_id"] for row in Case.of(Scope(same_type, EVERYTHING)).rows}
    for _, claims in every(Scope(same_type, EVERYTHING)):
        assert not [claim for claim in claims if "unsloth Q4_K_M" in claim.evidence]


@pytest.mark.parametrize(
    ("error", "broken", "words"),
    [
        (1.41, True, "does not hold the baseline's weights"),
        (1.0, True, "holds only zeros"),
        (0.02, False, "is far from the baseline's"),
        (0.014, False, None),  # under three times the usual 0.005
    ],
)
def test_a_matrix_far_off_its_types_error(
    tmp_path: Path, error: float, broken: bool, words: str | None
) -> None:
    results = Results.open(make_same_type(tmp_path, times=1.0, error=error))
    assert (BROKEN in broken_files(results)) is broken
    text = " ".join(item.text for item in warnings(Scope(results, EVERYTHING)))
    assert (words in text) if words else (text == "" or "looks" not in text)


@pytest.mark.parametrize(("times", "found"), [(4.9, False), (5.2, True)])
def test_a_loss_five_times_that_of_its_type(tmp_path: Path, times: float, found: bool) -> None:
    results = Results.open(make_same_type(tmp_path, times=times, error=None))
    assert (BROKEN in broken_files(results)) is found


def test_one_uncommonly_good_file_makes_no_other_broken(tmp_path: Path) -> None:
    assert broken_files(Results.open(make_same_type(tmp_path, times=0.1, error=None))) == {}


def test_a_tiny_loss_is_no_fault_however_many_times_another_it_is(tmp_path: Path) -> None:
    folder = make_same_type(tmp_path, error=None)
    path = folder / "variants.parquet"
    lossless = pl.when(pl.col("kld_mean").is_not_null()).then(pl.col("kld_mean") / 500)
    pl.read_parquet(path).with_columns(kld_mean=lossless).write_parquet(path)
    assert broken_files(Results.open(folder)) == {}


def test_a_copy_of_the_baseline_is_no_measure_for_other_files(tmp_path: Path) -> None:
    folder = make_results(tmp_path, methods=("main",), windows=8)
    spoil(folder, "main-q2_k", kld=0.0, rise=0.0)
    assert broken_files(Results.open(folder)) == {}


def test_a_broken_largest_file_is_held_against_smaller_ones(broken_top: Results) -> None:
    assert list(broken_files(broken_top)) == ["unsloth-q8_0"]
    rows = broken_top.measured.to_dicts()
    assert len(sound(broken_top, rows)) == len(rows) - 1


def test_a_broken_largest_file_makes_no_method_the_steadiest(broken_top: Results) -> None:
    texts = [item.text for item in said(broken_top, "/ppl-bits")]
    assert not [text for text in texts if text.startswith("unsloth is the steadiest")]
    assert not [text for text in texts if "More bits are not always better" in text]


def test_without_any_peer_of_its_type_a_smaller_file_tells(tmp_path: Path) -> None:
    folder = make_results(tmp_path, methods=("main",), windows=8)
    spoil(folder, "main-q8_0", kld=9.0, rise=3.0)
    results = Results.open(folder)
    (fault,) = broken_files(results).values()
    assert fault.row["variant_id"] == "main-q8_0"
    assert fault.excess is not None
    assert fault.excess.relation == "a smaller file"


def test_the_same_bytes_under_two_names(tmp_path: Path) -> None:
    folder = make_results(tmp_path, windows=8)
    path = folder / "variants.parquet"
    frame = pl.read_parquet(path)
    one, two = "bartowski-q6_k", "main-q6_k"
    digest = pl.when(pl.col("variant_id").is_in([one, two])).then(pl.lit("ab" * 32)).otherwise("sha256")
    frame.with_columns(sha256=digest).write_parquet(path)
    (found,) = warnings(Scope(Results.open(folder), EVERYTHING))
    assert found.text == "bartowski Q6_K and main Q6_K are one file under 2 names."
    assert warnings(Scope(Results.open(folder), Selection.of(methods=["main"]))) == []


@pytest.mark.parametrize("model", Results.open(SAMPLE).models)
def test_the_sample_holds_two_files_of_the_same_weights_and_none_that_is_broken(model: str) -> None:
    """Q8_0 uses no importances; not every model of the sample was measured at that type."""
    results = Results.open(SAMPLE).of_model(model)
    assert faults(results) == {}
    assert warnings(Scope(results, EVERYTHING)) == []
    said = [found.text for found in same_weights(Scope(results, EVERYTHING))]
    twins = {"bartowski Q8_0", "main Q8_0"}
    both = twins <= set(results.variants["label"])
    assert any(all(name in text for name in twins) for text in said) == both


def test_a_model_of_the_sample_has_both_files_of_the_same_weights() -> None:
    labels = [
        set(Results.open(SAMPLE).of_model(model).variants["label"]) for model in Results.open(SAMPLE).models
    ]
    assert any({"bartowski Q8_0", "main Q8_0"} <= names for names in labels)


def test_healthy_folders_have_no_warnings(three_methods: Path, one_method: Path) -> None:
    for folder in (three_methods, one_method):
        assert warnings(Scope(Results.open(folder), EVERYTHING)) == []
