"""Quant labels and model names in publishers' file names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gguf
import pytest

from evaluator.models.naming import identifier, model_name, quant_label, sibling_identifier, told_apart
from evaluator.models.tensor_types import CheckpointType


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
    ("Model.i1-IQ3_M.gguf", "IQ3_M", "Model"),
    ("Model.i1-Q4_K_M.gguf", "Q4_K_M", "Model"),
    ("DeepSeek-R1-UD-TQ1_0.gguf", "UD-TQ1_0", "DeepSeek-R1"),
    ("DeepSeek-R1-UD-IQ1_S-00001-of-00003.gguf", "UD-IQ1_S", "DeepSeek-R1"),
    ("Qwen3-4B-UD-Q8_K_XL.gguf", "UD-Q8_K_XL", "Qwen3-4B"),
    ("Qwen3-4B-UD-Q2_K_XL.gguf", "UD-Q2_K_XL", "Qwen3-4B"),
    ("Qwen3-4B-UD-IQ4_NL_XL.gguf", "UD-IQ4_NL_XL", "Qwen3-4B"),
    ("gpt-oss-20b-MXFP4_MOE.gguf", "MXFP4_MOE", "gpt-oss-20b"),
    ("Model-1B-NVFP4.gguf", "NVFP4", "Model-1B"),
    ("Model-1B-Q8_0-F16-embed.gguf", "Q8_0", "Model-1B"),
    ("Model-1B-Q4_K_M-Q8_0-embed-output.gguf", "Q4_K_M", "Model-1B"),
    ("Model-1B-Q6_K-f32.embeddings.gguf", "Q6_K", "Model-1B"),
    ("Model-1B-embedding-F16.gguf", "F16", "Model-1B-embedding"),
    ("Model-1B-Q4_K_M-imat.gguf", "Q4_K_M", "Model-1B"),
    ("Model-1B-Q4_K_S-3.61bpw.gguf", "Q4_K_S", "Model-1B"),
    ("Model-1B-guided-4.50bpw.gguf", "4.50bpw", "Model-1B-guided"),
    ("Model-1B-Q8_0_L.gguf", "Q8_0_L", "Model-1B"),
    ("Model-1B-Q5_K_L.gguf", "Q5_K_L", "Model-1B"),
    ("Model-1B-Q3_K_XL.gguf", "Q3_K_XL", "Model-1B"),
    ("Model-1B-f32.gguf", "F32", "Model-1B"),
    ("Model-1B-IQ4_NL.gguf", "IQ4_NL", "Model-1B"),
    ("Model-1B-Q4_0_4_4.gguf", "Q4_0_4_4", "Model-1B"),
    ("Model-1B-Q4_0_8_8.gguf", "Q4_0_8_8", "Model-1B"),
    ("GLM-4.5-IQ4_KSS.gguf", "IQ4_KSS", "GLM-4.5"),
    ("GLM-4.5-smol-IQ2_KS-00001-of-00003.gguf", "smol-IQ2_KS", "GLM-4.5"),
    ("GLM-4.5-IQ1_KT.gguf", "IQ1_KT", "GLM-4.5"),
    ("GLM-4.5-Q8_0_R8.gguf", "Q8_0_R8", "GLM-4.5"),
    ("GLM-4.5-IQ4_KS_R4.gguf", "IQ4_KS_R4", "GLM-4.5"),
    ("smol-Q4_0.gguf", "Q4_0", "smol"),
    ("ggml-model-i2_s.gguf", "I2_S", "ggml-model"),
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


def test_a_folder_that_is_called_like_a_type_names_it(named):
    assert quant_label(named("UD-Q4_K_XL/DeepSeek-R1-00001-of-00004.gguf")) == "UD-Q4_K_XL"
    assert quant_label(named("iq4_xs/model.gguf")) == "IQ4_XS"
    assert quant_label(named("Q4_0/model-Q8_0.gguf")) == "Q8_0"
    assert quant_label(named("Q4_0 and others/model.gguf")) == "F32"


def test_labels_that_are_shared_get_the_first_name_that_differs():
    labels, names = ["a Q4_0", "b Q4_0", "a Q4_0"], ["m.gguf", "m.gguf", "n.gguf"]
    assert told_apart(labels, names) == ["a Q4_0 (m.gguf)", "b Q4_0", "a Q4_0 (n.gguf)"]
    same, paths = ["m.gguf"] * 3, ["x/m.gguf", "y/m.gguf", "z/m.gguf"]
    assert told_apart(labels, same, paths) == ["a Q4_0 (x/m.gguf)", "b Q4_0", "a Q4_0 (z/m.gguf)"]
    assert told_apart(labels, same) == labels


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


def test_identifiers_are_cut_only_if_very_long_and_stay_apart():
    assert identifier("x" * 180) == "x" * 180
    long = [identifier("X" * 300, method, "cpu") for method in ("a", "b", "a")]
    assert long[0] == long[2] != long[1]
    assert {len(name) for name in long} == {180}
    taken = {long[0]}
    for _ in range(3):
        taken.add(sibling_identifier(long[0], taken, Path(f"{'x' * 250}.gguf")))
    assert len(taken) == 4
    assert max(map(len, taken)) == 212
    assert all(name.startswith(long[0]) for name in taken)


QUANTIZED = [
    ("Qwen3-8B-FP8", "Qwen3-8B"),
    ("Meta-Llama-3.1-8B-Instruct-FP8-dynamic", "Meta-Llama-3.1-8B-Instruct"),
    ("Qwen2.5-7B-Instruct-AWQ", "Qwen2.5-7B-Instruct"),
    ("Qwen2.5-7B-Instruct-GPTQ-Int4", "Qwen2.5-7B-Instruct"),
    ("Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "Meta-Llama-3.1-8B-Instruct"),
    ("Llama-3.2-1B-Instruct-unsloth-bnb-4bit", "Llama-3.2-1B-Instruct"),
    ("FP8", "FP8"),
    ("Tiny-Block-1B", "Tiny-Block-1B"),
]


@pytest.mark.parametrize(("name", "model"), QUANTIZED)
def test_model_names_of_quantized_checkpoints(named, name, model):
    file = named(name)
    assert model_name(file) == name
    info = next(iter(file.tensors.values()))
    quantized = replace(file, tensors={info.name: replace(info, ggml_type=CheckpointType.AWQ4)})
    assert model_name(quantized) == model


def test_label_of_a_quantized_checkpoint_is_its_main_quantized_type(named):
    file = named("Checkpoint", **{"general.file_type": None})
    types = dict(zip(sorted(file.tensors), ("AWQ4", "AWQ4", "INT8"), strict=False))
    tensors = {
        name: replace(info, ggml_type=CheckpointType[types[name]] if name in types else info.ggml_type)
        for name, info in file.tensors.items()
    }
    assert quant_label(replace(file, tensors=tensors)) in {"AWQ4", "INT8"}
