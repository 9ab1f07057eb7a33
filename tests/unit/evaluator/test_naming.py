"""Names as publishers write them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gguf
import pytest

from evaluator.sources.naming import identifier, model_name, quant_label, sibling_identifier


@pytest.fixture
def named(tiny):
    return lambda name, **metadata: replace(
        tiny, path=Path("/models") / name, metadata=dict(tiny.metadata) | metadata
    )


PUBLISHED = [
    ("SmolLM2-135M-Instruct-Q4_K_M.gguf", "Q4_K_M", "SmolLM2-135M-Instruct"),
    ("Llama-3.2-1B-Instruct-IQ4_XS.gguf", "IQ4_XS", "Llama-3.2-1B-Instruct"),
    ("Llama-3.2-1B-Instruct-Q6_K_L.gguf", "Q6_K_L", "Llama-3.2-1B-Instruct"),
    ("Qwen3-4B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL", "Qwen3-4B"),
    ("Qwen3-4B-UD-IQ2_XXS.gguf", "UD-IQ2_XXS", "Qwen3-4B"),
    ("Qwen3-0.6B-Q8_0.gguf", "Q8_0", "Qwen3-0.6B"),
    ("qwen2.5-0.5b-instruct-q5_k_m.gguf", "Q5_K_M", "qwen2.5-0.5b-instruct"),
    ("tinyllama-1.1b-chat-v1.0.Q2_K.gguf", "Q2_K", "tinyllama-1.1b-chat-v1.0"),
    ("SmolLM2-135M-Instruct.F16.gguf", "F16", "SmolLM2-135M-Instruct"),
    ("gemma-3-1b-it-bf16.gguf", "BF16", "gemma-3-1b-it"),
    ("qwen2.5-0.5b-instruct-fp16.gguf", "F16", "qwen2.5-0.5b-instruct"),
    ("gpt-oss-20b-mxfp4.gguf", "MXFP4", "gpt-oss-20b"),
    ("Model.i1-IQ3_M.gguf", "IQ3_M", "Model.i1"),
    ("Q4_0-test-Q5_1.gguf", "Q5_1", "test"),
    ("Qwen2.5-7B-Instruct-Q4_K_M-00001-of-00002.gguf", "Q4_K_M", "Qwen2.5-7B-Instruct"),
    ("Model-F16.GGUF", "F16", "Model"),
]


@pytest.mark.parametrize(("name", "quant", "model"), PUBLISHED)
def test_published_names_give_quant_and_model(named, name, quant, model):
    assert (quant_label(named(name)), model_name(named(name))) == (quant, model)


def test_label_falls_back_to_the_file_type_then_to_the_main_type(named):
    q4 = int(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    assert quant_label(named("plain.gguf", **{"general.file_type": q4})) == "Q4_K_M"
    assert quant_label(named("plain.gguf", **{"general.file_type": 9999})) == "F32"
    assert quant_label(named("plain.gguf")) == "F32"


def test_name_that_is_only_a_quant_stays(named):
    assert model_name(named("Q4_0.gguf")) == "Q4_0"


def test_identifier_is_safe_for_file_systems():
    assert identifier("A b/c", "", "Q4_0", "cpu") == "a-b-c-q4_0-cpu"
    assert "/" not in identifier("../../x", "y")


def test_sibling_identifiers_of_equal_names_differ():
    taken: set[str] = set()
    for folder in "abc":
        taken.add(sibling_identifier("main-q4_0", taken, Path(folder) / "m-Q4_0.gguf"))
    assert len(taken) == 3
