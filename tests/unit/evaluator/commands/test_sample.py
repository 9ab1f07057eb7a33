"""The sample: what it makes, in which order, and that it never calibrates on what it evaluates on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gguf
import polars as pl
import pytest
from rich.console import Console
from tiny_models import write_tiny_llama

from evaluator.commands.sample import SampleTexts, run_sample
from evaluator.commands.sample_models import METHODS, SAMPLE, SampleModel
from evaluator.engines import ENGINES
from evaluator.models.sources.packaged import PACKAGED_MODELS
from evaluator.models.sources.resolve import sha256_of
from evaluator.quantize.recipe import choices
from evaluator.results.files import VARIANTS
from evaluator.results.reader import read_frame, read_manifest
from evaluator.support.errors import RequestError
from evaluator.texts.sources import BUILT_IN_DOMAINS

SHOWN = Path(__file__).parents[4] / "sample_results"
QUIET = Console(quiet=True)
WINDOWS_PER_BUILT_IN_TEXT = 5


@pytest.mark.parametrize("model", SAMPLE.values(), ids=list(SAMPLE))
def test_every_method_has_at_least_eight_sizes_that_exist(model: SampleModel):
    for method in METHODS:
        labels = model.labels(method)
        assert len(labels) == len(set(labels)) >= 8
        assert set(labels) <= set(choices(method))
    for method, label in model.besides:
        assert method not in METHODS
        assert label in choices(method)
        assert label in model.labels("guided")


@pytest.mark.parametrize("model", SAMPLE.values(), ids=list(SAMPLE))
def test_what_is_attributed_is_measured(model: SampleModel):
    assert model.attributed
    assert set(model.attributed) <= set(model.variants)


@pytest.mark.parametrize("model", SAMPLE.values(), ids=list(SAMPLE))
def test_an_interrupted_sample_compares_all_methods(model: SampleModel):
    first = model.variants[: len(METHODS)]
    assert [method for method, _ in first] == list(METHODS)
    assert all("Q4_K" in label for _, label in first)


@pytest.mark.parametrize("model", SAMPLE.values(), ids=list(SAMPLE))
def test_windows_are_those_of_the_model_or_fewer(model: SampleModel):
    text, each = model.windows
    assert model.chunks_of("w", None) == {"w": text, **dict.fromkeys(BUILT_IN_DOMAINS, each)}
    assert set(model.chunks_of("w", 1).values()) == {1}
    assert each <= WINDOWS_PER_BUILT_IN_TEXT


@pytest.mark.parametrize("model", SAMPLE.values(), ids=list(SAMPLE))
def test_the_results_that_are_shown_are_those_of_the_plan(model: SampleModel):
    rows = read_frame(SHOWN, VARIANTS).filter(pl.col("model") == model.name)
    shown = rows.filter(~pl.col("is_baseline"))
    assert sorted(shown.select("method", "quant").iter_rows()) == sorted(model.variants)
    timed = {name: rows[f"{engine.prefix}decode_ms_p50"] for name, engine in ENGINES}
    assert {name for name, times in timed.items() if times.null_count() == 0} == set(
        model.engines or ENGINES.names()
    )
    assert all(times.null_count() in (0, len(rows)) for times in timed.values())
    attributed = shown.filter(pl.col("attribution_additivity").is_not_null())
    assert list(attributed.select("method", "quant").iter_rows()) == list(model.attributed)


def test_every_model_is_a_known_source():
    assert set(SAMPLE) <= set(PACKAGED_MODELS)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A tiny model with room for tokens after a window."""
    context = {"llama.context_length": (1024, gguf.GGUFValueType.UINT32)}
    return write_tiny_llama(tmp_path_factory.mktemp("published") / "Tiny-F32.gguf", metadata=context)


@pytest.fixture
def tiny_sample(published, monkeypatch):
    """A model of the sample whose published file is a tiny one, in three variants."""
    known = dataclasses.replace(PACKAGED_MODELS["smollm2-135m"], sha256=sha256_of(published))
    monkeypatch.setitem(PACKAGED_MODELS, "smollm2-135m", known)
    model = SampleModel(
        name="Tiny",
        published="F32",
        sizes=(("Q4_0", "Q4_0", "", ""), ("Q8_0", "", "", "")),
        windows=(1, 1),
        calibration=1,
        attributed=(("main", "Q4_0"),),
    )
    monkeypatch.setitem(SAMPLE, "smollm2-135m", model)
    return "smollm2-135m"


def test_calibrating_on_the_evaluated_text_is_refused(tiny_sample, published, text_path, tmp_path):
    texts = SampleTexts(f"wiki={text_path}", str(text_path))
    with pytest.raises(
        RequestError, match=r"prose.txt: the calibration text must not be an evaluation text too"
    ):
        run_sample([tiny_sample], texts, tmp_path / "out", QUIET, files=[published])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"calibration": "builtin"}, "encyclopedic.txt: the calibration text must not be an evaluation text"),
        ({"text": "builtin"}, "--text builtin: built-in texts are evaluated in any case"),
    ],
)
def test_built_in_texts_are_evaluated_once_and_calibrate_nothing(
    tiny_sample, published, text_path, tmp_path, named, message
):
    texts = dataclasses.replace(SampleTexts(f"wiki={text_path}", f"other={text_path}"), **named)
    with pytest.raises(RequestError, match=message):
        run_sample([tiny_sample], texts, tmp_path / "out", QUIET, files=[published])
    assert not (tmp_path / "out").exists()


def test_a_file_of_another_content_is_refused(tmp_path):
    other = write_tiny_llama(tmp_path / "Other-F32.gguf", seed=3)
    with pytest.raises(RequestError, match=r"Other-F32\.gguf: is none of the sample's files"):
        run_sample(["smollm2-135m"], SampleTexts("a", "b"), tmp_path / "out", QUIET, files=[other])


def test_a_model_that_is_not_known_gets_a_suggestion(tmp_path):
    with pytest.raises(RequestError, match=r"--models smollm2: is not .*did you mean smollm2-135m"):
        run_sample(["smollm2"], SampleTexts("a", "b"), tmp_path / "out", QUIET)


@pytest.mark.usefixtures("two_rounds")
def test_all_is_run_in_engines_and_some_is_attributed(tiny_sample, published, tmp_path):
    for name in ("text", "calibration"):
        (tmp_path / f"{name}.txt").write_text(
            f"The {name} was by the river in the other part of the town. " * 30
        )
    texts = SampleTexts(f"wiki={tmp_path / 'text.txt'}", str(tmp_path / "calibration.txt"))
    out = tmp_path / "out"
    run_sample([tiny_sample], texts, out, QUIET, files=[published], threads=1)
    manifest, rows = read_manifest(out), read_frame(out, VARIANTS)
    assert (manifest.model, manifest.ended is not None) == ("Tiny", True)
    assert "one measured on calibration.txt (windows of 512 tokens: 1)" in manifest.baseline_note
    assert {text.domain: text.windows for text in manifest.texts} == dict.fromkeys(
        ("wiki", *BUILT_IN_DOMAINS), 1
    )
    found = {(row["method"], row["quant"]): row for row in rows.filter(~pl.col("is_baseline")).to_dicts()}
    assert set(found) == {("main", "Q4_0"), ("bartowski", "Q4_0"), ("main", "Q8_0")}
    columns = ("decode_ms_p50", "llamacpp_decode_ms_p50", "llamacpp_kld_mean")
    run = {key for key, row in found.items() if all(row[name] is not None for name in columns)}
    attributed = {key for key, row in found.items() if row["attribution_additivity"] is not None}
    assert (run, attributed) == (set(found), {("main", "Q4_0")})
    before = read_frame(out, VARIANTS)
    assert all(
        not run["measured"]
        for run in run_sample([tiny_sample], texts, out, QUIET, files=[published], threads=1)
    )
    assert read_frame(out, VARIANTS).equals(before)
