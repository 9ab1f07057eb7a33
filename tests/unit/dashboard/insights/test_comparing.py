"""Two variants side by side, against paired statistics worked out from the token frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from many_models import make_models
from results_factory import make_results

from dashboard.insights.compared_pair import chosen
from dashboard.insights.comparing import differences, tensor_types
from dashboard.insights.tokens_in_context import worst_tokens
from dashboard.pages import compare
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from evaluator.metrics import columns_of


@pytest.fixture(scope="module")
def results(three_methods: Path) -> Results:
    return Results.open(three_methods)


def pair(results: Results, a: str, b: str) -> tuple[dict, dict]:
    found = chosen(Scope(results, Selection.of(options={"a": a, "b": b})))
    assert found is not None
    return found


def test_the_address_chooses_then_the_picks_then_sizes(results: Results) -> None:
    named = pair(results, "main-q8_0", "main-q2_k")
    assert [row["variant_id"] for row in named] == ["main-q8_0", "main-q2_k"]
    picked = chosen(Scope(results, Selection.of(picked=["unsloth-q6_k", "main-q6_k"])))
    assert picked is not None
    assert {row["variant_id"] for row in picked} == {"unsloth-q6_k", "main-q6_k"}
    spare = chosen(Scope(results, EVERYTHING))
    assert spare is not None
    assert spare[0]["method"] != spare[1]["method"]
    junk = chosen(Scope(results, Selection.of(options={"a": "nobody", "b": "main-q2_k"})))
    assert junk is not None
    assert junk[1]["variant_id"] == "main-q2_k"


def test_files_that_pass_the_filters_come_first(results: Results) -> None:
    def ids(**filters: object) -> set[str]:
        found = chosen(Scope(results, Selection.of(**filters)))  # type: ignore[arg-type]  # the fields of a selection
        assert found is not None
        return {str(row["variant_id"]) for row in found}

    kept = ["main-q4_0", "unsloth-q8_0", "bartowski-q2_k"]
    assert ids(only=kept) < set(kept)
    assert ids(only=kept, picked=["main-q6_k"]) < set(kept), "a pick that is filtered out does not come back"
    assert ids(only=kept, picked=["main-q4_0", "main-q6_k"]) < set(kept)
    assert ids(only=["main-q4_0"], picked=["main-q6_k"]) == {"main-q4_0", "main-q6_k"}


def test_verdicts_follow_the_paired_differences(results: Results) -> None:
    first, second = pair(results, "main-q2_k", "main-q8_0")
    found = {item.metric: item for item in differences(Scope(results), first, second)}
    for metric in ("Perplexity", "Mean KLD", "Same top token", "Mean KLD in code"):
        assert found[metric].verdict == "B better"
        assert found[metric].leader == 1
    kld = results.paired("main-q2_k", "main-q8_0", "kld")
    assert kld is not None
    assert found["Mean KLD"].difference.startswith(f"+{kld.value:.3f} ± {kld.half:.3f}")
    assert found["File size"].verdict == ""


def test_the_same_variant_twice_is_identical(results: Results) -> None:
    row = pair(results, "main-q4_0", "main-q8_0")[0]
    verdicts = {item.verdict for item in differences(Scope(results), row, row)}
    assert verdicts == {"identical", ""}


def test_variants_of_other_models_are_not_compared(tmp_path: Path) -> None:
    folder = make_models(tmp_path, ("x", "y"), methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    results = Results.open(folder)
    first, second = pair(results, "x-main-q4_0", "y-main-q4_0")
    found = differences(Scope(results), first, second)
    assert found[0].verdict == "not comparable token by token"
    assert "cannot be compared" in compare.headline(
        Scope(results, Selection.of(options={"a": "x-main-q4_0", "b": "y-main-q4_0"}))
    )


def test_tensor_types(results: Results) -> None:
    first, second = pair(results, "main-q4_0", "main-q8_0")
    roles = {item.role: item for item in tensor_types(results, first, second)}
    assert roles["ffn_down"].types == ({"Q4_0": 12}, {"Q8_0": 12})
    assert roles["ffn_down"].differing == 12


def test_worst_tokens_are_the_worst_and_keep_their_context(results: Results, three_methods: Path) -> None:
    first, second = pair(results, "main-q2_k", "main-q4_0")
    frame = pl.read_parquet(three_methods / "tokens" / "main-q2_k.parquet")
    found = worst_tokens(results, first, second, EVERYTHING)
    assert max(found[0].klds) == pytest.approx(float(frame["kld"].max()))
    assert [max(item.klds) for item in found] == sorted((max(i.klds) for i in found), reverse=True)
    for item in found:
        place = frame.filter(pl.col("window") == item.window, pl.col("position") == item.position)
        assert item.piece == str(place["token"][0]), "ids where there is no vocabulary"
        assert item.domain == place["domain"].cast(pl.String)[0]
    code = worst_tokens(results, first, second, Selection.of(domains=["code"], bins=[4]))
    assert {item.domain for item in code} == {"code"}


def test_tokens_read_as_text_where_the_vocabulary_is_there(tmp_path: Path) -> None:
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    tokens = pl.read_parquet(folder / "tokens" / "main-q4_0.parquet")["token"].unique().sort()
    pieces = pl.DataFrame({"model": "Synthetic-135M", "token": tokens})
    pieces = pieces.with_columns(pl.format(" <{}>", "token").alias("piece"))
    pieces.write_parquet(folder / "vocabulary.parquet")
    results = Results.open(folder)
    item = worst_tokens(results, *pair(results, "main-q4_0", "main-q8_0"), EVERYTHING)[0]
    assert item.piece.startswith(" <")
    assert item.before.count("<") <= 10


def test_one_variant_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    results = Results.open(make_results(tmp_path, methods=("main",), quants=("Q4_0",), windows=4))
    assert chosen(Scope(results, EVERYTHING)) is None
    assert "fewer" in compare.headline(Scope(results, EVERYTHING))


def test_every_main_column_and_every_paired_one_has_a_row(results: Results) -> None:
    """Two columns of one quantity, such as perplexity and ln PPL ratio, are one test."""
    pair_of = pair(results, "main-q2_k", "main-q8_0")
    found = {item.column: item for item in differences(Scope(results), *pair_of)}
    known = columns_of().values()
    told: set[str] = set()
    for column in known:
        second = column.tokens in told
        told.add(column.tokens or "")
        expected = (column.tokens and not second) or (column.main and not column.tokens)
        if expected and any(row[column.name] is not None for row in pair_of):
            assert column.name in found, column.name
    assert "ln_ppl_ratio" not in found


def test_what_is_not_tested_has_its_ratio_or_its_difference(results: Results) -> None:
    first, second = pair(results, "main-q2_k", "main-q8_0")
    found = {item.column: item for item in differences(Scope(results), first, second)}
    ratio = first["delta_p_rms"] / second["delta_p_rms"]
    assert found["delta_p_rms"].difference == f"A is {ratio:.3g} × B"
    gap = first["kld_p990"] - second["kld_p990"]
    assert found["kld_p990"].difference == f"+{gap:#.3g} nats"
    assert {found[name].verdict for name in ("delta_p_rms", "kld_p990", "size_bytes")} == {""}


@pytest.mark.parametrize(
    ("roles", "words"),
    [(["attn_v"], "1 role, attn_v."), (["attn_v", "attn_k"], "2 roles, most in attn_k.")],
)
def test_the_number_of_roles_that_differ(tmp_path: Path, roles: list[str], words: str) -> None:
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    layers = pl.read_parquet(folder / "layers.parquet")
    other = (pl.col("variant_id") == "main-q8_0") & pl.col("role").cast(pl.String).is_in(roles)
    typed = (
        pl.when(pl.col("quant_type").is_null())
        .then(None)
        .when(other)
        .then(pl.lit("Q8_0"))
        .otherwise(pl.lit("Q4_0"))
    )
    layers.with_columns(quant_type=typed).write_parquet(folder / "layers.parquet")
    said = [item.text for item in compare.insights(Scope(Results.open(folder)))]
    assert f"Their tensor types differ in {words}" in said
