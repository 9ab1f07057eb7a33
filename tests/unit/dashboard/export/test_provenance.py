"""Where the numbers of several models come from: what their runs share once, the rest with the model's name."""

from __future__ import annotations

import polars as pl
import pytest
from many_models import make_models

from dashboard.export.provenance import facts, footer
from dashboard.results.one_model import one_model
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.shell.measured import measured_on
from evaluator.results.files import MANIFEST_NAME
from evaluator.results.manifest import Manifest, joined
from evaluator.results.reader import read_manifest


def of(model: str, run: Manifest, **changes: object) -> Manifest:
    baseline = run.baseline_id.replace("Alpha", model)
    return run.model_copy(
        update={"model": model, "baseline_id": baseline, "git_revision": "a" * 40, **changes}
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Alpha, and Beta of another revision, on another machine, with another text and another version."""
    folder = tmp_path_factory.mktemp("models") / "two"
    make_models(folder, ("Alpha", "Beta"), methods=("main",), quants=("Q4_0",), windows=4)
    run = read_manifest(folder)
    texts = [run.texts[0].model_copy(update={"name": "other.txt", "sha256": "0" * 64}), *run.texts[1:]]
    beta = of(
        "Beta",
        run,
        git_revision="b" * 40,
        texts=texts,
        threads=64,
        packages={**run.packages, "polars": "9.9"},
        machine=run.machine.model_copy(update={"cpu": "Large CPU"}),
    )
    (folder / MANIFEST_NAME).write_text(joined([of("Alpha", run), beta]).model_dump_json())
    path = folder / "variants.parquet"
    is_alpha = pl.col("model") == "Alpha"
    digest = pl.when(is_alpha).then(pl.lit("a" * 64)).otherwise(pl.lit("b" * 64)).alias("sha256")
    pl.read_parquet(path).with_columns(digest).write_parquet(path)
    return Results.open(folder)


def scope(whole: Results, *models: str) -> Scope:
    return Scope(*one_model(Selection.of(models), whole))


def test_what_differs_is_said_of_each_model(whole: Results) -> None:
    both, run = facts(scope(whole, "Alpha", "Beta")), whole.manifest
    assert both["Baseline"] == "Alpha: F16, sha256 aaaaaaaaaaaa; Beta: F16, sha256 bbbbbbbbbbbb"
    assert both["Revision"] == f"Alpha: {'a' * 40}; Beta: {'b' * 40}"
    first, second = run.texts[:2]
    assert f"Alpha: {first.domain}: {first.name}, sha256" in both["Texts"]
    assert f"Beta: {first.domain}: other.txt, sha256 000000000000" in both["Texts"]
    assert f"; {second.domain}: {second.name}" in both["Texts"], "of both, and so without a name"
    assert both["Machine"].endswith(
        f"Alpha: {run.threads} threads, {run.provider}; Beta: 64 threads, {run.provider}"
    )
    assert "Beta: polars 9.9" in both["Packages"]
    assert "windows of" in both["Scored"]
    assert "Alpha: windows" not in both["Scored"]
    assert "revision Alpha: aaaaaaaaaa; Beta: bbbbbbbbbb · " in footer(scope(whole, "Alpha", "Beta"))


def test_each_machine_is_named(whole: Results) -> None:
    cpu = whole.manifest.machine.cpu
    assert measured_on(scope(whole, "Alpha", "Beta")) == f"CPU ({cpu}) and CPU (Large CPU)"
    assert measured_on(scope(whole, "Beta")) == "CPU (Large CPU)"


def test_of_one_model_nothing_is_said_of_the_other(whole: Results) -> None:
    one = facts(scope(whole, "Beta"))
    assert one["Revision"] == "b" * 40
    assert "Alpha" not in str(one)
    assert "Beta" not in one["Baseline"] + one["Texts"] + one["Packages"]
