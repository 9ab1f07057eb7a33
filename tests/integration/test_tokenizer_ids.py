"""Ids of a hard text under every pre-tokenizer, against llama.cpp on the same real vocabulary."""

from __future__ import annotations

import struct
from dataclasses import replace

import gguf
import numpy as np
import pytest
from llama_vocabulary import llama_vocabularies
from tokenizing import BYTE_LEVEL, TEXT

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.resolve import resolve_one
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf

pytestmark = pytest.mark.integration

#: Stands for the pre-tokenizer's name in the file that is written once.
UNNAMED = "the pre-tokenizer's name"
#: Of tensors in a file: its end moves by less when the name has another length.
ALIGNMENT = 32


@pytest.fixture(scope="module")
def smollm2():
    return open_gguf(resolve_one("smollm2-135m"))


@pytest.fixture(scope="module")
def llama_ids(smollm2, tmp_path_factory):
    """Ids of the text by pre-tokenizer, from one process of llama.cpp."""
    folder = tmp_path_factory.mktemp("vocabularies")
    unnamed = vocabulary(smollm2, folder / "unnamed.gguf")
    paths = [folder / f"{name}.gguf" for name in BYTE_LEVEL]
    for name, path in zip(BYTE_LEVEL, paths, strict=True):
        path.write_bytes(unnamed.replace(text(UNNAMED), text(name)) + ALIGNMENT * b"\0")
    return {
        name: answer.ids[0]
        for name, answer in zip(BYTE_LEVEL, llama_vocabularies(paths, [TEXT]), strict=True)
    }


def text(value):
    """As GGUF files store it."""
    return struct.pack("<Q", len(value)) + value.encode()


def vocabulary(smollm2, path):
    """The bytes of a file with the real vocabulary; those behind the names of its tensors are zeros."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(UNNAMED)
    tokens = smollm2.metadata["tokenizer.ggml.tokens"]
    writer.add_token_list(tokens)
    writer.add_token_types([int(kind) for kind in smollm2.metadata["tokenizer.ggml.token_type"]])
    writer.add_token_merges(smollm2.metadata["tokenizer.ggml.merges"])
    writer.add_tensor("token_embd.weight", np.zeros((len(tokens), 1), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_ids_are_those_of_llama_cpp(smollm2, llama_ids, name):
    file = replace(smollm2, metadata={**smollm2.metadata, "tokenizer.ggml.pre": name})
    assert tokenizer_from_gguf(file).encode(TEXT).tolist() == llama_ids[name]
