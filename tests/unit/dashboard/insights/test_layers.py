"""What the values of a variant's layers say about roles and depth."""

from math import log
from pathlib import Path
from statistics import fmean

import polars as pl
import pytest
from results_factory import make_results

from dashboard.insights.claims import every
from dashboard.insights.layers import attention_share, depth, first_third, last_part, role_means
from dashboard.pages import compare
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style import formats
from dashboard.views import registry

#: Attention twice as hard as feed-forward in six layers of which the last is hit four times as hard.
VALUES = {
    (layer, role): value * (4 if layer == 5 else 1)
    for layer in (5, 0, 1, 2, 3, 4)
    for role, value in (("attn_q", 0.1), ("attn_k", 0.3), ("ffn_up", 0.1))
}
WHOLE = {(layer, "layer"): float(layer) for layer in (2, 0, 1)}


def test_attention_is_compared_with_feed_forward_layer_by_layer() -> None:
    share = attention_share({**VALUES, (-1, "output"): 9.0, (6, "attn_q"): 5.0, (7, "ffn_up"): 0.0})
    assert share is not None
    assert share.value == pytest.approx(log(2)), "a layer without both says nothing"
    assert share.se == pytest.approx(0, abs=1e-12)
    assert attention_share({cell: value for cell, value in VALUES.items() if cell[0] < 2}) is None
    assert attention_share({}) is None


def test_experts_belong_to_the_feed_forward_part_and_routers_stored_exactly_do_not_count() -> None:
    roles = (("attn_q", 0.2), ("ffn_up_exps", 0.1), ("ffn_down_shexp", 0.1), ("ffn_gate_inp", 0.0))
    share = attention_share({(layer, role): value for layer in range(3) for role, value in roles})
    assert share is not None
    assert share.value == pytest.approx(log(2))


def test_depth_is_the_mean_of_the_roles_or_the_whole_layer() -> None:
    assert depth(VALUES) == pytest.approx([0.5 / 3] * 5 + [2 / 3])
    assert depth({**VALUES, (-1, "token_embd"): 7.0}) == depth(VALUES), "the embedding is in no layer"
    assert depth(WHOLE) == [0.0, 1.0, 2.0]
    assert depth({**WHOLE, (0, "attn_q"): 3.0}) == [3.0]
    assert depth({}) == []


def test_the_head_counts_with_the_last_layers() -> None:
    last, first = last_part(VALUES), first_third(VALUES)
    assert last is not None
    assert first is not None
    assert last.value == pytest.approx(log(4))
    assert first.value == pytest.approx(-log(4) / 4), "one of the four layers after the first two"
    with_head = last_part({**VALUES, (-1, "output"): 0.5 / 3})
    assert with_head is not None
    assert with_head.value == pytest.approx(log(4) / 2)
    assert last_part({}) is None


def test_roles_are_averaged_over_variants_in_the_models_order() -> None:
    found = {"a": {(0, "ffn_up"): 1.0, (0, "attn_q"): 2.0}, "b": {(1, "ffn_up"): 3.0, (1, "layer"): 9.0}}
    assert list(role_means(found).items()) == [("attn_q", 2.0), ("ffn_up", 2.0)]


def everything_said(results: Results, selection: Selection) -> list[str]:
    view = next(view for view in registry() if view.id == "layers")
    said = [insight.text for insight in view.insights(Scope(results, selection))]
    return [*said, *(claim.evidence for claim in view.claims(Scope(results, selection)))]


@pytest.mark.parametrize("measure", ["weight", "hidden", "attribution"])
def test_a_click_on_a_cell_takes_nothing_back(tmp_path: Path, measure: str) -> None:
    results = Results.open(make_results(tmp_path, windows=4, with_attribution=True))
    options = {"measure": measure}
    role = "layer" if measure == "hidden" else "attn_v"
    before = everything_said(results, Selection.of(options=options))
    after = everything_said(results, Selection.of(layers=[5], roles=[role], options=options))
    assert after[1:] == before, "what was measured stays measured"
    assert after[0].startswith(
        "Layer 5: " if measure == "hidden" else "attention values (attn_v) in layer 5: "
    )
    assert every(Scope(results, Selection.of(layers=[5], roles=["attn_v"]))) == every(
        Scope(results, Selection.of())
    )


def test_what_is_framed_is_told_with_its_value(tmp_path: Path) -> None:
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    view = next(view for view in registry() if view.id == "layers")
    frame = pl.read_parquet(folder / "layers.parquet").filter(pl.col("weight_error").is_not_null())
    cell = frame.filter(pl.col("layer") == 5, pl.col("role").cast(pl.String) == "attn_v")["weight_error"]
    clicked = Selection.of(layers=[5], roles=["attn_v"], options={"measure": "weight"})
    mean, whole = fmean(cell), fmean(frame["weight_error"])
    title = view.headline(Scope(Results.open(folder), clicked))
    value, times = formats.number(mean), formats.number(mean / whole, 2)
    said = f"Attention values (attn_v) in layer 5: relative weight error {value} on average, "
    assert title == f"{said}{times} × the overall mean"
    nowhere = Selection.of(layers=[-1], roles=["attn_v"], options={"measure": "weight"})
    assert view.headline(Scope(Results.open(folder), nowhere)).startswith(
        "Attention values (attn_v) in embedding and head: the shown "
    )


def test_a_click_in_layers_leaves_the_recipes_of_compare_whole(tmp_path: Path) -> None:
    results = Results.open(make_results(tmp_path, methods=("main",), windows=4))
    pair = {"a": "main-q4_0", "b": "main-q8_0"}
    clicked = Selection.of(layers=[5], roles=["attn_v"], options=pair)
    assert compare.insights(Scope(results, clicked)) == compare.insights(
        Scope(results, Selection.of(options=pair))
    )


def test_a_model_of_one_measured_role_says_so(tmp_path: Path) -> None:
    path = make_results(tmp_path, methods=("main",), quants=("Q4_0",), windows=4) / "layers.parquet"
    pl.read_parquet(path).filter(pl.col("role").cast(pl.String) == "attn_v").write_parquet(path)
    title = next(view for view in registry() if view.id == "layers").headline(
        Scope(Results.open(tmp_path), Selection.of())
    )
    assert title.startswith("Attention values (attn_v), the only role measured: ")


def test_the_most_telling_measure_is_one_that_a_chosen_variant_has(tmp_path: Path) -> None:
    """Attribution of one type alone: the others are shown by what they have."""
    path = make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0")) / "layers.parquet"
    alone = pl.when(pl.col("variant_id") == "main-q4_0").then(pl.col("weight_error")).otherwise(None)
    pl.read_parquet(path).with_columns(attribution_kld=alone).write_parquet(path)
    results, view = Results.open(tmp_path), next(view for view in registry() if view.id == "layers")
    for quant in ("Q4_0", "Q8_0"):
        scope = Scope(results, Selection.of(quants=[quant]))
        assert "No selected variant" not in view.headline(scope)
        assert [trace for trace in view.figure(scope).data if trace.type == "heatmap"]
