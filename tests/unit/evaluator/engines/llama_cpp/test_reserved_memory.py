"""What llama.cpp would reserve, against sizes computed by hand and buffers that it does allocate."""

from __future__ import annotations

import os
import re
import shutil
import sys

import gguf
import numpy as np
import pytest
import random_families
from families.recipe import write_recipe
from tiny_models import write_tiny_llama

from evaluator.engines.llama_cpp import reserved_memory as reserved
from evaluator.engines.llama_cpp.model import LlamaContext, LlamaModel
from evaluator.engines.llama_cpp.process import llama_answer
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.support.errors import EvaluatorError

#: Two layers, keys and values, two heads of 64.
NUMBERS_PER_TOKEN = 2 * 2 * 2 * 64
#: Sizes are told with two decimals.
MEBIBYTE = 1 << 20
ROUNDING = 0.005 * MEBIBYTE + 1


def of_context(length, **options):
    key = "llama.context_length"
    return {"metadata": {key: (length, gguf.GGUFValueType.UINT32)}, **options}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A model with a context of 20,000 tokens."""
    folder = tmp_path_factory.mktemp("reserved")
    kind = gguf.GGMLQuantizationType.Q8_0
    return str(write_tiny_llama(folder / "Tiny-Q8_0.gguf", **of_context(20000, ggml_type=kind)))


def by_context(path, **settings):
    """Return what a process of its own answers, by context."""
    answer = llama_answer("reserved", path=str(path), settings=Settings(1, **settings))
    return {row["context"]: row for row in answer}


@pytest.mark.parametrize(("cache", "bits"), [("f16", 16), ("q8_0", 8.5), ("q4_0", 4.5)])
def test_a_cache_has_room_for_all_tokens(path, cache, bits):
    rows = by_context(path, cache=cache)
    assert list(rows) == [512, 4096, 16384, 20000]
    for context, row in rows.items():
        cells = -(-context // 256) * 256  # llama.cpp rounds up
        assert row["cache_bytes"] == pytest.approx(NUMBERS_PER_TOKEN * cells * bits / 8, abs=ROUNDING)


@pytest.mark.parametrize("length", [1 << 31, (1 << 32) - 300])
def test_a_context_that_no_machine_holds_is_left_out(tmp_path, length):
    """llama.cpp would take 100 GB or more for its tokens, though nothing of them is allocated."""
    long = write_tiny_llama(tmp_path / "Tiny-F32.gguf", **of_context(length))
    assert list(by_context(long)) == [512, 4096, 16384, 65536, 131072]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are Unicode")
def test_a_name_that_is_not_unicode_is_opened(path):
    named = os.fsencode(path).replace(b"Tiny", b"Tin\xff")
    shutil.copy(path, named)
    assert list(by_context(os.fsdecode(named)))[-1] == 20000


def test_weights_are_all_tensors(path):
    tensors = gguf.GGUFReader(path).tensors
    assert {row["weights_bytes"] for row in by_context(path).values()} == {
        sum(int(tensor.n_bytes) for tensor in tensors)
    }


def test_buffers_are_those_of_a_context_that_is_allocated(path):
    log = []
    with (
        LlamaModel(path, log=lambda _, text, __: log.append(text.decode())) as model,
        LlamaContext(model, 4096, Settings(1)),
    ):
        told = "".join(log)
    allocated = [float(size) for size in re.findall(r"(?:compute|output) buffer size = +([\d.]+) MiB", told)]
    row = by_context(path)[4096]
    assert row["compute_bytes"] == pytest.approx(MEBIBYTE * sum(allocated), abs=1)
    (cache,) = re.findall(r"KV buffer size = +([\d.]+) MiB", told)
    assert row["cache_bytes"] == pytest.approx(MEBIBYTE * float(cache), abs=1)
    assert sum(allocated) > 0.5


def test_nothing_is_allocated(tmp_path):
    """A cache of 160 GiB would not fit; the model has 32 layers."""
    longest = 10 << 20
    path = write_tiny_llama(tmp_path / "long.gguf", layers=32, **of_context(longest))
    assert by_context(path)[longest]["cache_bytes"] == 16 * 2 * NUMBERS_PER_TOKEN * longest


def test_a_sliding_window_bounds_the_cache_of_its_layers(tmp_path):
    """Two layers of four see 32 tokens; what is computed at a time, 512, is kept besides, rounded up to 256."""
    recipe = random_families.recipe("gpt-oss", layers=4, window=32, scaled=False)
    recipe.metadata["context_length"] = 16384
    rows = by_context(write_recipe(recipe, tmp_path / "m.gguf", 0, None))
    per_cell = 2 * 2 * (2 * 32) * 2  # two layers, keys and values, two heads of 32, two bytes
    for context, row in rows.items():
        expected = per_cell * (context + min(context, 768))
        assert row["cache_bytes"] == pytest.approx(expected, abs=2 * ROUNDING)


def test_states_do_not_grow_with_the_context(tmp_path):
    rows = by_context(random_families.write("granitehybrid", tmp_path / "m.gguf"))
    growth = (rows[16384]["cache_bytes"] - rows[4096]["cache_bytes"]) / (16384 - 4096)
    assert growth == pytest.approx(2 * 2 * 32 * 2, rel=0.01)  # one layer attends
    assert rows[4096]["cache_bytes"] > growth * 4096 + ROUNDING


def test_a_type_that_does_not_fit_is_refused(tmp_path):
    """Heads of 16 numbers hold no whole block of 32."""
    path = write_tiny_llama(tmp_path / "narrow.gguf", hidden=64, ffn=64)
    with pytest.raises(EvaluatorError, match="makes no context"):
        by_context(path, cache="q8_0")


def test_a_release_that_allocates_all_the_same_is_refused(path, monkeypatch):
    monkeypatch.setattr(reserved, "_UNDERSTOOD", re.compile("no_alloc = understood"))
    with pytest.raises(EvaluatorError, match="does not tell sizes without allocating"):
        reserved.reserved_memory(path, Settings(1))


def test_a_log_without_sizes_gives_none(path, monkeypatch):
    monkeypatch.setattr(reserved, "_CACHE", re.compile("other words ([0-9]+)"))
    rows = reserved.reserved_memory(path, Settings(1))
    assert {row.cache_bytes for row in rows} == {None}
    assert np.all([row.compute_bytes for row in rows])
