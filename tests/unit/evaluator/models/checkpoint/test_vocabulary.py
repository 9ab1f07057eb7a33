"""Tables of checkpoints: pre-tokenizers that are not known, Gemma 4's vocabulary, BOS."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from tiny_checkpoints import edit_json, random_model, save_checkpoint
from tiny_models import write_tiny_llama
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from evaluator.commands.quantize import quantize_model
from evaluator.models.checkpoint.vocabulary import vocabulary
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import values_and_types
from evaluator.models.sources.open_model import open_model
from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS
from evaluator.models.tokenizers.published import published_steps
from evaluator.models.tokenizers.recognition import as_json
from evaluator.models.tokenizers.scheme import with_named_scheme
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.support.errors import SourceError

TEXT = "The other, in  the north\nand a"


@pytest.fixture
def folder(tmp_path):
    model = random_model(
        "llama", tie_word_embeddings=True, vocab_size=320, hidden_size=32, intermediate_size=32
    )
    return save_checkpoint(model, tmp_path / "Tiny-Llama")


def test_splitter_that_is_not_known_has_to_be_named(folder, tmp_path):
    expected = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT).ids
    edit_json(folder / "tokenizer.json", pre_tokenizer={"type": "Whitespace"})
    file = open_model(folder)
    with pytest.raises(SourceError, match=r"splits texts in a way that is not known.*--pre NAME") as caught:
        tokenizer_from_gguf(file)
    assert "\n" not in str(caught.value)
    assert tokenizer_from_gguf(with_named_scheme(file, "gpt-2")).encode(TEXT).tolist() == expected


def test_files_are_not_made_from_a_checkpoint_whose_splitter_is_not_known(folder, tmp_path):
    edit_json(folder / "tokenizer.json", pre_tokenizer={"type": "Whitespace"})
    with pytest.raises(SourceError, match="files made from it would have other tokens"):
        quantize_model(str(folder), "main", ["Q8_0"], tmp_path / "out", Console(file=StringIO()))
    assert not (tmp_path / "out").exists()


def test_no_bos_is_added_where_no_file_names_one(folder):
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    steps = [as_json(step) for step in published_steps(PRE_TOKENIZERS["llama-bpe"].patterns)]
    edit_json(
        folder / "tokenizer.json",
        pre_tokenizer={"type": "Sequence", "pretokenizers": steps},
        model=content["model"] | {"ignore_merges": True},
    )
    file = open_model(folder)
    assert file.metadata["tokenizer.ggml.pre"] == "llama-bpe"
    assert tokenizer_from_gguf(file).bos_id is None


SPECIAL = ["<pad>", "<eos>", "<bos>", "<|tool_response>", "<|x|>"]


def gemma4_folder(folder, *normal):
    """Write a tokenizer in the manner of Gemma 4 and return it as the library has it."""
    pieces = [
        *SPECIAL,
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *"Theornita,\n▁",
        "he",
        "The",
        "▁in",
        "▁▁",
    ]
    merges = [("h", "e"), ("T", "he"), ("i", "n"), ("▁", "in"), ("▁", "▁")]
    ids = {piece: index for index, piece in enumerate([*pieces, "in"])}
    library = Tokenizer(models.BPE(ids, merges, fuse_unk=True, byte_fallback=True))
    library.normalizer = normalizers.Replace(" ", "▁")
    library.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    if normal:
        library.normalizer = normalizers.Sequence(list(normal))
    library.add_special_tokens(SPECIAL)
    library.save(str(folder / "tokenizer.json"))
    return library, len(ids)


@pytest.mark.parametrize("model_type", ["gemma4", "gemma4_text"])
def test_gemma4_keeps_its_merges(tmp_path, model_type):
    library, size = gemma4_folder(tmp_path)
    config = {"model_type": model_type, "vocab_size": size, "bos_token_id": 2}
    keys, rules = vocabulary(tmp_path, JsonFile(tmp_path / "config.json", config))
    metadata, types = values_and_types(keys)
    assert rules.merges_in_order
    assert metadata["tokenizer.ggml.model"] == "gemma4"
    assert metadata["tokenizer.ggml.merges"] == ["h e", "T he", "i n", "▁ in", "▁ ▁"]
    assert list(metadata["tokenizer.ggml.token_type"][:6]) == [3, 3, 3, 4, 3, 6]
    bare = open_gguf(write_tiny_llama(tmp_path / "m.gguf", hidden=32, layers=1, ffn=32))
    tokenizer = tokenizer_from_gguf(replace(bare, metadata=metadata, value_types=types))
    assert tokenizer.bos_id == 2
    assert tokenizer.encode(TEXT).tolist() == library.encode(TEXT).ids


def test_gemma4_with_a_space_before_texts_is_refused(tmp_path):
    _, size = gemma4_folder(tmp_path, normalizers.Prepend("▁"), normalizers.Replace(" ", "▁"))
    edit_json(tmp_path / "tokenizer.json", pre_tokenizer=None)
    config = JsonFile(tmp_path / "config.json", {"model_type": "gemma4", "vocab_size": size})
    with pytest.raises(SourceError, match="only Gemma 4's is supported"):
        vocabulary(tmp_path, config)
