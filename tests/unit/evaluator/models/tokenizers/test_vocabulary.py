"""Tokens decoded to readable text, whatever the encoding of the vocabulary."""

from pathlib import Path
from typing import ClassVar

from tiny_models import END_OF_TEXT, write_tiny_llama
from tokenizers.decoders import ByteLevel

from evaluator.models.sources.open_model import open_model
from evaluator.models.tokenizers.vocabulary import vocabulary_frame


def test_byte_level_pieces_agree_with_the_library(tmp_path: Path) -> None:
    with_file = open_model(write_tiny_llama(tmp_path / "m.gguf"))
    tokens = with_file.require("tokenizer.ggml.tokens")
    frame = vocabulary_frame(with_file, "tiny", range(len(tokens)))
    decoder = ByteLevel()
    found = dict(frame.select("token", "piece").iter_rows())
    assert found[tokens.index("Ġthe")] == " the"
    assert found[tokens.index(END_OF_TEXT)] == END_OF_TEXT
    assert {i: decoder.decode([tokens[i]]) for i in found} == found
    assert frame["model"].unique().to_list() == ["tiny"]


def test_ids_outside_the_vocabulary_are_left_out(tmp_path: Path) -> None:
    file = open_model(write_tiny_llama(tmp_path / "m.gguf"))
    assert vocabulary_frame(file, "tiny", [3, 3, 10**6, -1])["token"].to_list() == [3]
    assert vocabulary_frame(file, "tiny", []).is_empty()


def test_sentencepiece_pieces() -> None:
    class File:
        metadata: ClassVar[dict[str, str]] = {"tokenizer.ggml.model": "llama"}

        def require(self, _key: str) -> list[str]:
            return ["<unk>", "▁the", "<0x0A>", "<0xE2>", "a▁b"]

    frame = vocabulary_frame(File(), "sp", range(5))  # type: ignore[arg-type]
    assert frame["piece"].to_list() == ["<unk>", " the", "\n", "\N{REPLACEMENT CHARACTER}", "a b"]
