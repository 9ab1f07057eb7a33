"""Files that were measured and failed: named everywhere, recommended nowhere, and no axis is theirs."""

import math
import re
from pathlib import Path

import polars as pl
import pytest
from results_factory import make_results

from dashboard.export.markdown import report
from dashboard.insights.answers import Answers
from dashboard.insights.comparing import differences
from dashboard.pages import compare, explore, overview
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.render import Page, render
from dashboard.views import home, registry
from evaluator.results.schema import STATISTICS

NLL = 87.0  # perplexity 6.08e37
USELESS = "main Q2_K (main-q2_k.gguf) failed: perplexity 6.08 × 10³⁷, over 1,000 times the baseline's"
NOTHING_FINITE = "main Q4_0 (main-q4_0.gguf) failed: 1,536 of 1,536 tokens not finite"
PARTLY = "bartowski Q8_0 (bartowski-q8_0.gguf) failed: 7 of 1,536 tokens not finite"


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A file of perplexity 6e37, one without a finite token, and one with seven that are not finite."""
    folder = make_results(tmp_path_factory.mktemp("broken"), methods=("bartowski", "main"))
    tokens = folder / "tokens"
    useless = pl.read_parquet(tokens / "main-q2_k.parquet")
    useless.with_columns(
        nll=pl.lit(NLL, pl.Float32), kld=pl.lit(80.0, pl.Float32), same_top=pl.lit(value=False)
    ).write_parquet(tokens / "main-q2_k.parquet")
    nothing = pl.read_parquet(tokens / "main-q4_0.parquet")
    values = {name: pl.lit(None, nothing.schema[name]) for name in ("nll", "top_prob", "kld", "same_top")}
    nothing.with_columns(**values).write_parquet(tokens / "main-q4_0.parquet")
    frame = pl.read_parquet(folder / "variants.parquet")
    base = frame.filter("is_baseline")["ppl"].item()
    _write(folder, frame, base)
    return Results.open(folder)


def _write(folder: Path, frame: pl.DataFrame, base: float) -> None:
    def when(variant: str, value: object, column: str) -> pl.Expr:
        typed = pl.lit(value, frame.schema[column])
        return pl.when(pl.col("variant_id") == variant).then(typed).otherwise(pl.col(column)).alias(column)

    statistics = [name for name in frame.columns if name in STATISTICS]
    frame = frame.with_columns(when("main-q4_0", None, name) for name in statistics)
    ppl = math.exp(NLL)
    useless = {
        "ppl": ppl,
        "ppl_se": 0.01 * ppl,
        "ln_ppl_ratio": NLL - math.log(base),
        "kld_mean": 80.0,
        "inv_ppl_per_mb": 1e-40,
    }
    frame = frame.with_columns(when("main-q2_k", value, name) for name, value in useless.items())
    frame = frame.with_columns(when("main-q4_0", 1536, "n_nonfinite"))
    frame.with_columns(when("bartowski-q8_0", 7, "n_nonfinite")).write_parquet(folder / "variants.parquet")


def _text(page: Page) -> str:
    words = [page.title, page.caption, *(f"{item.text} {item.detail}" for item in page.insights)]
    words += [f"{claim.text} {claim.evidence}" for claim in page.claims]
    return " ".join([*words, str(page.body), str(page.figure)])


def test_every_failed_file_is_named_with_what_failed(broken: Results) -> None:
    said = " ".join(item.text for item in overview.insights(Scope(broken, EVERYTHING)))
    for text in (USELESS, NOTHING_FINITE, PARTLY):
        assert text in said
    assert "values were not finite" not in said


@pytest.mark.parametrize("slug", ["", "compare", "explore", "summary", *(view.id for view in registry())])
def test_no_page_writes_37_digits(broken: Results, slug: str) -> None:
    for options in ({}, {"a": "main-q2_k", "b": "main-q4_0"}):
        text = _text(render(broken, f"/{slug}", Selection.of(options=options)))
        assert not re.search(r"\d{16}", re.sub(r"[0-9a-f]{64}|\.\d+", "", text))


def test_failed_files_leave_the_axes_alone_and_are_noted(broken: Results) -> None:
    """The axes are those of the folder without the two files."""
    kept = broken.variants["variant_id"].to_list()
    sound = Selection.of(only=[name for name in kept if name not in {"main-q2_k", "main-q4_0"}])
    for view in registry():
        if view.id in {"layers", "confidence", "radar"}:
            continue  # their axes do not depend on the size of a loss
        drawn, expected = view.draw(Scope(broken, EVERYTHING)), view.draw(Scope(broken, sound))
        for axis in ("xaxis", "yaxis"):
            assert drawn.layout[axis].get("range") == expected.layout[axis].get("range"), (view.id, axis)
        caption = render(broken, f"/{view.id}", EVERYTHING).caption
        assert caption.startswith(f"Not drawn: {USELESS}; {NOTHING_FINITE}. "), view.id
    assert "Not drawn" not in render(broken, "/layers", EVERYTHING).caption


def test_a_view_of_failed_files_alone_says_that_they_failed(broken: Results) -> None:
    only = Selection.of(only=["main-q2_k", "main-q4_0"])
    page = render(broken, "/degradation", only)
    assert page.title == "Every selected file failed"
    assert USELESS in _text(page)
    assert "measured and failed: main Q2_K and main Q4_0" in home.headline(Scope(broken, only))


def test_a_failed_file_is_never_recommended(broken: Results) -> None:
    named = {
        item.row["variant_id"] for item in Answers.of(Scope(broken, EVERYTHING)).recommendations if item.row
    }
    assert named
    assert not named & {"bartowski-q8_0", "main-q2_k", "main-q4_0"}
    for options in ({"gb": "1 TB"}, {"rise": "3"}, {"gb": "50 MB"}):
        advice = Answers.of(Scope(broken, Selection.of(options=options))).advice
        assert advice is not None
        best = advice.best and advice.best.row["variant_id"]
        assert best not in {"bartowski-q8_0", "main-q2_k", "main-q4_0"}


def test_compare_and_explore_say_failed_where_it_was_measured(broken: Results) -> None:
    pair = Selection.of(options={"a": "main-q4_0", "b": "main-q6_k"})
    assert compare.headline(Scope(broken, pair)) == "main Q4_0 failed: 1,536 of 1,536 tokens not finite"
    rows = {row["variant_id"]: row for row in broken.measured.to_dicts()}
    found = differences(Scope(broken), rows["main-q4_0"], rows["main-q6_k"])
    values = {item.metric: item.values[0] for item in found}
    tested = ("Perplexity", "Mean KLD", "Same top token", "Mean Δp of the correct token")
    assert {values[metric] for metric in tested} == {"failed"}
    assert "6.076 × 10³⁷" in str(
        compare.body(Scope(broken, Selection.of(options={"a": "main-q2_k", "b": "main-q6_k"})))
    )
    said = " ".join(item.text for item in explore.insights(Scope(broken, EVERYTHING)))
    assert NOTHING_FINITE in said


def test_the_report_says_failed(broken: Results) -> None:
    text = report(Scope(broken, EVERYTHING))
    assert "failed: 1,536 of 1,536 tokens not finite" in text
    assert not re.search(r"\d{20}", re.sub(r"[0-9a-f]{64}", "", text))


def test_tokens_lost_by_the_baseline_already_are_not_the_variants_fault(tmp_path: Path) -> None:
    make_results(tmp_path, methods=("main",), quants=("Q8_0",))
    path = tmp_path / "variants.parquet"
    pl.read_parquet(path).with_columns(n_nonfinite=pl.lit(3, pl.Int64)).write_parquet(path)
    assert Results.open(tmp_path).measured["failure"].to_list() == [None]


def test_what_only_all_tokens_tell_is_not_called_unmeasured(broken: Results) -> None:
    path = broken.folder / "variants.parquet"
    pl.read_parquet(path).with_columns(deploy_kld_mean=pl.lit(0.004)).write_parquet(path)
    again = Results.open(broken.folder)
    found = explore.insights(Scope(again, Selection.of(domains=["code"])))
    (note,) = (item for item in found if "known over all tokens only" in item.text)
    assert "deploy_kld_mean" in note.detail
    assert all("deploy_kld_mean" not in item.detail for item in found if "not measured" in item.text)
