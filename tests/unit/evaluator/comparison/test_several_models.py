"""Two models with different tokenizers, measured one after the other into one folder."""

from __future__ import annotations

import io

import gguf
import polars as pl
import pytest
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_models import MERGES, write_tiny_llama

from evaluator.commands.run import run_comparison
from evaluator.planning.config import VariantSource
from evaluator.results.reader import read_manifest
from evaluator.support.errors import RequestError

Q4_0, Q8_0 = gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0
#: Fewer merges: the same text has more tokens.
FEWER = MERGES[:1]


def run(comparison, **changes):
    summary = run_comparison(comparison.model_copy(update=changes), Console(file=io.StringIO()))
    assert summary["failures"] == []
    return summary


def frame(folder, name):
    return pl.read_parquet(folder / f"{name}.parquet")


@pytest.fixture
def tiny_and_small(tiny_path, tiny_graph, text_path, tmp_path):
    """The comparisons of two models, with two variants each, into one folder."""

    def variants(stem, **options):
        return tuple(
            VariantSource(
                method=method,
                source=str(write_tiny_llama(tmp_path / f"{stem}-{name}.gguf", ggml_type=kind, **options)),
            )
            for method, name, kind in (("m", "Q4_0", Q4_0), ("n", "Q8_0", Q8_0))
        )

    tiny = tiny_comparison(tiny_path, tmp_path / "x", text_path, tmp_path / "out")
    base = write_tiny_llama(tmp_path / "Small-F32.gguf", merges=FEWER)
    return (
        tiny.model_copy(update={"variants": variants("Tiny")}),
        tiny.model_copy(
            update={
                "baseline": str(base),
                "variants": variants("Small", merges=FEWER),
                "chunks_of": {"prose": 6},
            }
        ),
    )


def test_the_folder_holds_what_separate_folders_would(tiny_and_small, tmp_path):
    together, apart = tmp_path / "out", [tmp_path / "a", tmp_path / "b"]
    summaries = [run(comparison) for comparison in tiny_and_small]
    for comparison, folder in zip(tiny_and_small, apart, strict=True):
        run(comparison, out=folder)
    assert [len(item["variants"]) for item in summaries] == [3, 3]
    manifests = [read_manifest(folder) for folder in apart]
    both = read_manifest(together).each
    for own, alone in zip(both, manifests, strict=True):
        kept = ("model", "baseline_id", "texts", "noise_floor", "n_planned", "pre")
        assert [getattr(own, name) for name in kept] == [getattr(alone, name) for name in kept]
    assert [text.windows for item in both for text in item.texts] == [4, 6]
    for name in ("variants", "layers", "domains", "confidence", "pairs", "vocabulary"):
        parts = pl.concat([frame(folder, name) for folder in apart])
        keys = parts.columns[:3]
        assert frame(together, name).sort(keys).equals(parts.sort(keys))


def test_either_is_resumed_and_another_baseline_of_it_is_refused(tiny_and_small, tmp_path):
    tiny, small = tiny_and_small
    run(tiny)
    run(small, variants=small.variants[:1])
    assert run(tiny)["measured"] == []
    assert len(run(small)["reused"]) == 1
    assert [item.n_planned for item in read_manifest(tiny.out).each] == [2, 2]
    (tmp_path / "x").mkdir()
    other = write_tiny_llama(tmp_path / "x" / "Small-F32.gguf", seed=1, merges=FEWER)
    with pytest.raises(RequestError, match="holds a comparison with another baseline"):
        run(small, baseline=str(other))


def test_windows_are_limited_only_for_domains_that_have_a_text(tiny_and_small):
    with pytest.raises(
        RequestError, match=r"chunks_of: there is no text of domain poems \(there are prose\)"
    ):
        run(tiny_and_small[0], chunks_of={"poems": 1})
