"""Engines are found by their files, and a run treats a new one like the others."""

from __future__ import annotations

import io

import polars as pl
import pytest
from rich.console import Console
from tiny_comparisons import tiny_comparison

from evaluator import engines
from evaluator.comparison.run import ComparisonRun
from evaluator.engines import ENGINES, Engine, Ready
from evaluator.planning.config import comparison_from
from evaluator.planning.plan import make_plan
from evaluator.results.store import ResultsStore
from evaluator.runtime.timing import Timing
from evaluator.support.errors import RequestError
from evaluator.support.progress import RunProgress


class Slow(Ready):
    def time(self, *, deep):
        return [Timing("load", 0, 1.0, 0), Timing("prefill", 8, 2.0, 0), Timing("decode", 1, 0.003, 8)]

    def costs(self):
        return {"peak_rss_bytes": 7}

    def losses(self):
        return {"llamacpp_kld_mean": 0.25}


class Another(Engine):
    prefix, loss = "llamacpp_", "llamacpp_kld_mean"

    def settings(self, file):
        return {"patience": 1, "file": file.name}

    def why_not(self):
        return None

    @classmethod
    def declines(cls, file):
        return "because they are large" if "F32" in file.name else None

    def prepare(self, case, folder):
        return Slow()


@pytest.fixture
def another(monkeypatch):
    monkeypatch.setattr(ENGINES, "_entries", dict(ENGINES) | {"another": Another})


def test_both_engines_are_there():
    assert sorted(ENGINES.names()) == ["llama.cpp", "onnxruntime"]
    for _, kind in ENGINES:
        assert issubclass(kind, engines.Engine)


def test_a_new_engine_is_run_like_the_others(another, tiny_path, tiny_graph, text_path, tmp_path):
    variant = tmp_path / "Tiny-Q9.gguf"
    variant.write_bytes(tiny_path.read_bytes())
    comparison = tiny_comparison(tiny_path, variant, text_path, tmp_path / "out", chunks=2)
    comparison = comparison.model_copy(update={"engines": ("another",), "speed": True, "layers": False})
    said = io.StringIO()
    with ResultsStore(comparison.out) as store, RunProgress(Console(file=said, width=200)) as progress:
        ComparisonRun(make_plan(comparison), comparison, store, progress).run()
    (row,) = store.variants().filter(is_baseline=False).to_dicts()
    assert row["llamacpp_decode_ms_p90"] == 3
    assert row["llamacpp_prefill_tps"] == 4
    assert (row["llamacpp_peak_rss_bytes"], row["llamacpp_kld_mean"]) == (7, 0.25)
    assert "not measured in another, because they are large: baseline F32" in said.getvalue()
    assert pl.read_parquet(comparison.out / "speed.parquet")["engine"].unique().to_list() == ["another"]
    settings = store.manifest.engines["another"]
    assert settings.pop("machine")
    assert settings == {"patience": 1, "file": "Tiny-Q9.gguf"}


def test_engines_are_chosen_by_name(tmp_path):
    asked = {"baseline": "a", "variants": ["m=b"], "texts": ["c"], "out": tmp_path}
    assert comparison_from(asked).engines == ("llama.cpp", "onnxruntime")
    assert comparison_from(asked | {"engines": ["onnxruntime"]}).engines == ("onnxruntime",)
    assert comparison_from(asked).kv_cache == ()
    with pytest.raises(RequestError, match=r"kv_cache: 'q4_k' is not a type of a cache; did you mean q4_"):
        comparison_from(asked | {"kv_cache": ["f16", "q4_k"]})
    with pytest.raises(
        RequestError, match=r"engines: 'llama\.cp' is not an engine; did you mean llama\.cpp\?"
    ):
        comparison_from(asked | {"engines": ["llama.cp"]})
    for nothing in ([], [""]):
        with pytest.raises(RequestError, match="engines: "):
            comparison_from(asked | {"engines": nothing})
    with pytest.raises(RequestError, match="kv_cache: onnxruntime offers no choice; add an engine"):
        comparison_from(asked | {"engines": ["onnxruntime"], "kv_cache": ["f16"]})


def test_a_missing_engine_is_wrong_only_if_it_was_asked_for(another, monkeypatch, tmp_path):
    given = {"baseline": "a", "variants": ["m=b"], "texts": ["c"], "out": tmp_path}
    monkeypatch.setattr(Another, "cache_types", ("f16",))
    asked = given | {"engines": ["another"]}
    comparison_from(asked).check_engines()
    monkeypatch.setattr(Another, "why_missing", classmethod(lambda _: "it is not there: pip install it"))
    with pytest.raises(RequestError, match="engine another: it is not there: pip install it"):
        comparison_from(asked).check_engines()
    comparison_from(given).check_engines()
    with pytest.raises(RequestError, match="engine another"):
        comparison_from(given | {"kv_cache": ["f16"]}).check_engines()
