"""What the process that runs llama.cpp answers."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import asdict

import gguf
import pytest
from tiny_models import write_tiny_llama

from evaluator.engines.llama_cpp import worker
from evaluator.engines.llama_cpp.library import llama_library
from evaluator.engines.llama_cpp.process import llama_answer
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.models import ggml_library
from evaluator.support.errors import EvaluatorError

REQUEST = {"prompt": list(range(8)), "following": [1, 2, 3], "settings": asdict(Settings(1))}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A model with a context of 128 tokens."""
    return str(write_tiny_llama(tmp_path_factory.mktemp("worker") / "Tiny-F32.gguf"))


def times(path, depths):
    out = io.BytesIO()
    worker._times(out, path=path, depths=depths, **REQUEST)
    return [(phase, tokens, context) for phase, tokens, _, context in json.loads(out.getvalue())]


def test_tokens_are_decoded_at_each_depth_that_the_context_allows(path):
    """126 + 3 tokens exceed it."""
    assert times(path, [0, 8, 64, 126]) == [
        ("load", 0, 0),
        *(("decode", 1, place) for place in (0, 1, 2)),
        ("prefill", 8, 0),
        *(("decode", 1, place) for place in (8, 9, 10)),
        ("prefill", 53, 11),
        *(("decode", 1, place) for place in (64, 65, 66)),
    ]


@pytest.mark.parametrize("context", [2, 10])
def test_a_context_shorter_than_the_prompt_and_what_follows_costs_no_times(context, tmp_path):
    metadata = {"llama.context_length": (context, gguf.GGUFValueType.UINT32)}
    short = str(write_tiny_llama(tmp_path / "Tiny-F32.gguf", metadata=metadata))
    answer = llama_answer("times", path=short, depths=[0, 8, 64], **REQUEST)
    assert [phase for phase, *_ in answer] == [
        *("load", *["decode"] * 3),
        *("prefill", *["decode"] * 3),
    ]


def test_a_depth_that_takes_too_long_to_reach_is_left_out(path, monkeypatch):
    monkeypatch.setattr(worker, "_MOST_SECONDS", 0.0)
    assert max(context for _, _, context in times(path, [0, 8, 64])) == 10


def test_each_window_is_timed_and_the_warm_up_is_not(path, monkeypatch):
    """The clock advances by a second per reading: two readings per window."""
    seconds = itertools.count()
    monkeypatch.setattr(worker.time, "perf_counter", lambda: next(seconds))
    out = io.BytesIO()
    windows = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    worker._windows(out, path=path, windows=windows, first=2, stop=3, settings=REQUEST["settings"])
    assert json.loads(out.getvalue()) == [1, 1, 1]
    assert next(seconds) == 8


def test_a_cache_of_a_quantized_type_takes_less(path):
    def per_token(cache):
        out = io.BytesIO()
        settings = asdict(Settings(1, cache=cache))
        worker._cache(out, path=path, ids=list(range(64)), settings=settings)
        half, whole = json.loads(out.getvalue())
        return (whole - half) / 32

    assert per_token("q4_0") < per_token("q8_0") < per_token("f16") < per_token("f32")


@pytest.mark.parametrize("named", ["ggml-base", None])
def test_a_library_without_llama_cpp_is_said(named, monkeypatch, tmp_path):
    class Other:
        _name = "ggml-base"

    monkeypatch.setattr(
        "evaluator.engines.llama_cpp.library.ggml_library", lambda: Other() if named else None
    )
    llama_library.cache_clear()
    try:
        with pytest.raises(
            EvaluatorError, match="does not export" if named else ggml_library.LIBRARY_VARIABLE
        ):
            llama_library()
    finally:
        llama_library.cache_clear()
