"""Answers, headlines and fronts are of one model on one device, and say so; what a folder has more stays drawn."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from many_models import make_models
from several_devices import make_devices

from dashboard.export.findings import findings
from dashboard.insights.compared_pair import chosen
from dashboard.insights.order import by_importance
from dashboard.pages import overview, summary
from dashboard.pages.parts import insight_list
from dashboard.results.results import Results
from dashboard.results.rows import Row, front_of, place_in_words
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.measured import provenance, status
from dashboard.shell.render import render
from dashboard.views import home, registry

FRONTS = ("ppl-bits", "speed", "size")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A large model, and a smaller one whose files are a fiftieth and that is less damaged by the same types."""
    folder = make_models(tmp_path_factory.mktemp("models") / "both", ("Big-7B", "Small-135M"), windows=8)
    path = folder / "variants.parquet"
    frame = pl.read_parquet(path)
    small = pl.col("model") == "Small-135M"
    losses = [
        pl.when(small).then(pl.col(name) / 10).otherwise(pl.col(name)).alias(name)
        for name in ("ln_ppl_ratio", "kld_mean", "decode_ms_p50", "ppl")
    ]
    size = pl.when(small).then("size_bytes").otherwise(pl.col("size_bytes") * 50)
    frame.with_columns(*losses, size.cast(pl.Int64)).write_parquet(path)
    return Results.open(folder)


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return Results.open(make_devices(tmp_path_factory.mktemp("devices"), windows=8))


def places(results: Results) -> tuple[str, str]:
    """What names that are spoken of, and what names that are not."""
    return ("Big-7B", "Small-135M") if results.measured["model"].n_unique() > 1 else ("CPU", "CUDA")


@pytest.mark.parametrize("folder", ["models", "devices"])
def test_every_page_speaks_of_one_place_and_says_which(folder: str, request: pytest.FixtureRequest) -> None:
    results: Results = request.getfixturevalue(folder)
    ours, theirs = places(results)
    for slug in ("", "summary", *(view.id for view in registry())):
        page = render(results, f"/{slug}", EVERYTHING)
        assert theirs not in page.title, slug
        assert ours in page.title, slug
        assert f"about {ours} alone" in by_importance(page.insights)[0].text, slug
        *others, last = [insight for insight in page.insights if not insight.command]
        assert f"about {ours} alone" in last.text, slug
        said = str([*others, *page.claims])
        assert theirs not in said, slug
    for page_body in (overview.beside(Scope(results, EVERYTHING)), summary.body(Scope(results, EVERYTHING))):
        assert ours in str(page_body)
        assert theirs not in str(page_body)


def test_the_same_weights_are_told_of_that_place_only(models: Results) -> None:
    """Two types of main hold the same weights, in each of the models."""
    alike = ("bits_per_weight", "ppl", "kld_mean", "kld_max")
    mine = pl.col("method").eq("main") & pl.col("quant").is_in(["Q4_0", "Q4_K_M"])
    frame = models.variants.with_columns(
        pl.when(mine).then(pl.lit(1.0)).otherwise(pl.col(name)).alias(name) for name in alike
    )
    results = Results(models.folder, models.manifest, frame)
    for slug in ("", "summary"):
        said = [item.text for item in render(results, f"/{slug}", EVERYTHING).insights]
        (told,) = [text for text in said if "hold the same weights" in text]
        assert "Big-7B" in told
    small = [item.text for item in summary.insights(Scope(results, Selection.of(["Small-135M"])))]
    assert [text for text in small if "hold the same weights" in text]


@pytest.mark.parametrize("folder", ["models", "devices"])
def test_fronts_are_of_one_place_and_all_points_are_drawn(
    folder: str, request: pytest.FixtureRequest
) -> None:
    results: Results = request.getfixturevalue(folder)
    _, theirs = places(results)
    theirs_ids = {name for name, label in results.labels.items() if theirs in label}
    for view in (view for view in registry() if view.id in FRONTS):
        traces = view.draw(Scope(results, EVERYTHING)).to_plotly_json()["data"]
        points = [
            (x, y, data[0])
            for trace in traces
            if trace.get("customdata")
            for x, y, data in zip(trace["x"], trace["y"], trace["customdata"], strict=True)
        ]
        assert theirs_ids - {results.baseline_of(row)["variant_id"] for row in rows(results)} <= {
            name for *_, name in points
        }
        sizes = {
            data[0]: size
            for trace in traces
            if isinstance(trace.get("marker", {}).get("size"), list) and trace.get("customdata")
            for data, size in zip(trace["customdata"], trace["marker"]["size"], strict=True)
        }
        front = {name for name, size in sizes.items() if size == max(sizes.values())}
        assert front, view.id
        assert not front & theirs_ids, view.id


def rows(results: Results) -> list[Row]:
    return results.measured.to_dicts()


def test_names_at_points_are_of_the_same_front(models: Results) -> None:
    (view,) = [view for view in registry() if view.id == "degradation"]
    for trace in view.draw(Scope(models, EVERYTHING)).to_plotly_json()["data"]:
        for text, data in zip(trace.get("text") or [], trace.get("customdata") or [], strict=False):
            assert not text or data[0].startswith("Big-7B")


def test_tokens_are_counted_per_model(models: Results) -> None:
    scored = int(models.baseline["n_tokens"])
    assert f"{scored:,} tokens per model" in status(Scope(models, EVERYTHING))
    fewer = pl.when(pl.col("model") == "Small-135M").then(pl.col("n_tokens") // 2).otherwise("n_tokens")
    frame = models.variants.with_columns(fewer.alias("n_tokens"))
    results = Results(models.folder, models.manifest, frame)
    told = f"{scored:,} tokens of Big-7B and {scored // 2:,} tokens of Small-135M"
    assert f"{scored:,} tokens and {scored // 2:,} tokens" in status(Scope(results, EVERYTHING))
    assert f"scored: {told};" in provenance(Scope(results, EVERYTHING))
    assert f"{scored // 2:,} tokens" in status(Scope(results, Selection.of(["Small-135M"])))


def test_exports_say_it_once(models: Results) -> None:
    said = findings(Scope(models, EVERYTHING))
    assert "Small-135M" not in said.answer + str(said.recommendations[:-1])
    assert "about Big-7B alone" in said.recommendations[-1].text
    assert "about Big-7B alone" not in str(said.notes)


def test_a_filter_leads_to_the_other(models: Results) -> None:
    small = Selection.of(["Small-135M"])
    assert "Small-135M" in home.headline(Scope(models, small))
    assert "This is about" not in str(insight_list(overview.insights(Scope(models, small))))


def test_one_place_needs_no_name(three_methods: Path) -> None:
    results = Results.open(three_methods)
    assert place_in_words(rows(results)[0], rows(results)) == ""
    assert front_of(rows(results), [1.0] * 21, [1.0] * 21) == list(range(21))
    for slug in ("", "summary"):
        assert "This is about" not in str(render(results, f"/{slug}", EVERYTHING).insights)


def test_a_comparison_begins_on_one_device(devices: Results) -> None:
    """Even where the sizes of two devices' files are closer, as a GPU's and a CPU's of two methods are here."""
    same = devices.variants.filter(pl.col("variant_id") == "bartowski-q8_0")["size_bytes"][0]
    alike = pl.when(pl.col("variant_id") == "main-q8_0-cuda").then(same).otherwise("size_bytes")
    frame = devices.variants.with_columns(alike.alias("size_bytes"))
    pair = chosen(Scope(Results(devices.folder, devices.manifest, frame), EVERYTHING))
    assert pair is not None
    assert pair[0]["device"] == pair[1]["device"]
    assert pair[0]["method"] != pair[1]["method"]
