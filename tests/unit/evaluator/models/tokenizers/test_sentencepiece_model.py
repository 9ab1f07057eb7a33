"""tokenizer.model files, encoded here by the rules of the wire format, read, and converted to GGUF's tables."""

from __future__ import annotations

import json
import struct

import pytest

from evaluator.models.checkpoint.vocabulary import vocabulary
from evaluator.models.json_file import JsonFile
from evaluator.models.tokenizers.sentencepiece_model import Piece, read_sentencepiece
from evaluator.support.errors import SourceError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
PIECES = [
    Piece("<unk>", 0.0, UNKNOWN), Piece("<s>", 0.0, CONTROL), Piece("</s>", 0.0, CONTROL), Piece("<0x0A>", 0.0, BYTE),
    Piece("▁", -1.0, NORMAL), Piece("é", -2.5, NORMAL), Piece("▁é", -0.5, NORMAL), Piece("<h1>", 0.0, USER_DEFINED),
]  # fmt: skip


def varint(value):
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def delimited(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def model_bytes(pieces=PIECES, model_type=2, trainer=b"", after=None):
    message = b""
    for piece in pieces:
        fields = delimited(1, piece.text.encode()) + varint(2 << 3 | 5) + struct.pack("<f", piece.score)
        if piece.kind != NORMAL:  # the default is not written
            fields += varint(3 << 3) + varint(piece.kind)
        message += delimited(1, fields)
    settings = varint(3 << 3) + varint(model_type) + trainer
    return message + delimited(2, settings) + (SETTINGS_AFTER_TRAINER if after is None else after)


def normalizer(**settings):
    """Encode a normalizer that changes nothing except by `settings`: number of a field → value."""
    fields = {"f1": b"identity", "f4": 0} | settings
    message = b""
    for name, value in fields.items():
        number = int(name[1:])
        message += (
            delimited(number, value) if isinstance(value, bytes) else varint(number << 3) + varint(value)
        )
    return delimited(3, message)


SETTINGS_AFTER_TRAINER = normalizer()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(model_bytes())
    return tmp_path


def test_pieces_are_read_in_order(folder):
    assert read_sentencepiece(folder / "tokenizer.model").pieces == PIECES


def test_three_byte_lengths_are_read(tmp_path):
    pieces = [Piece("x" * 20_000, 1.5, NORMAL)]
    (tmp_path / "m").write_bytes(model_bytes(pieces))
    assert read_sentencepiece(tmp_path / "m").pieces == pieces


@pytest.mark.parametrize("cut", range(1, 60))
def test_truncated_model_is_refused_unless_whole_fields_are_cut_off(folder, cut):
    (folder / "tokenizer.model").write_bytes(model_bytes()[:-cut])
    if cut == len(SETTINGS_AFTER_TRAINER):
        assert read_sentencepiece(folder / "tokenizer.model").pieces == PIECES
        return
    with pytest.raises(SourceError):
        read_sentencepiece(folder / "tokenizer.model")


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 40, b"\x0a\xff\xff\xff\xff\x0f", b"\x0b\x00", b"PK\x03\x04 zip"]
)
def test_something_else_is_refused(tmp_path, content):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(SourceError, match="not a SentencePiece model"):
        read_sentencepiece(tmp_path / "m")


@pytest.mark.parametrize("text", [b"\xff", b"ab\xc3", b"\xed\xa0\x80"])
def test_piece_that_is_not_utf_8_is_refused(tmp_path, text):
    (tmp_path / "m").write_bytes(delimited(1, delimited(1, text)) + model_bytes())
    with pytest.raises(SourceError, match="not a SentencePiece model"):
        read_sentencepiece(tmp_path / "m")


def test_unigram_model_is_refused(tmp_path):
    (tmp_path / "m").write_bytes(model_bytes(model_type=1))
    with pytest.raises(SourceError, match="not a byte-pair model"):
        read_sentencepiece(tmp_path / "m")


def test_tables_are_the_converters(folder):
    """Added tokens get the converter's score, tokens user-defined only here are normal, gaps are padded."""
    (folder / "added_tokens.json").write_text(json.dumps({"<tool>": 8}))
    decoder = {"7": {"content": "<h1>", "special": False}, "9": {"content": "<|end|>", "special": False}}
    settings = {
        "added_tokens_decoder": decoder,
        "bos_token": "<s>",
        "add_bos_token": True,
        "chat_template": "T",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    config = JsonFile(folder / "config.json", {"vocab_size": 11, "bos_token_id": 1, "eos_token_id": [2, 9]})
    table = {key: value for key, (value, _) in vocabulary(folder, config)[0].items()}
    assert table["tokenizer.ggml.tokens"] == [
        "<unk>", "<s>", "</s>", "<0x0A>", "▁", "é", "▁é", "<h1>", "<tool>", "<|end|>", "[PAD10]"
    ]  # fmt: skip
    assert table["tokenizer.ggml.token_type"].tolist() == [2, 3, 3, 6, 1, 1, 1, 4, 4, 3, 5]
    assert table["tokenizer.ggml.scores"].tolist() == [
        0,
        0,
        0,
        0,
        -1,
        -2.5,
        -0.5,
        -1000,
        -1000,
        -1000,
        -10000,
    ]
    assert table["tokenizer.ggml.bos_token_id"] == 1
    assert "tokenizer.ggml.eos_token_id" not in table  # a list of ids is not one id
    assert (table["tokenizer.ggml.add_bos_token"], table["tokenizer.chat_template"]) == (True, "T")
    (folder / "tokenizer_config.json").unlink()
    table = {key: value for key, (value, _) in vocabulary(folder, config)[0].items()}
    assert table["tokenizer.ggml.token_type"][7] == NORMAL


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"after": normalizer(f2=b"map")}, "precompiled_charsmap"),
        ({"after": normalizer(f4=1)}, "remove_extra_whitespaces"),
        ({"after": delimited(3, b"\x0a\x03nmt")}, "remove_extra_whitespaces"),  # which is the default
        ({"after": normalizer(f5=0)}, "escape_whitespaces"),
        ({"trainer": varint(24 << 3) + varint(1)}, "treat_whitespace_as_suffix"),
    ],
)
def test_model_that_changes_texts_in_another_way_is_refused(tmp_path, changes, reason):
    (tmp_path / "m").write_bytes(model_bytes(**changes))
    with pytest.raises(SourceError, match=f"{reason}\\), which GGUF and llama.cpp do not support"):
        read_sentencepiece(tmp_path / "m")


@pytest.mark.parametrize(
    ("dummy_prefix", "said", "expected"),
    [(None, None, True), (0, None, False), (1, None, True), (0, True, True), (1, False, False)],
)
def test_space_before_texts_is_the_models_unless_the_settings_say_otherwise(
    folder, dummy_prefix, said, expected
):
    after = normalizer() if dummy_prefix is None else normalizer(f3=dummy_prefix)
    (folder / "tokenizer.model").write_bytes(model_bytes(after=after))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({} if said is None else {"add_prefix_space": said})
    )
    keys, rules = vocabulary(folder, JsonFile(folder / "config.json", {"vocab_size": 8}))
    assert keys["tokenizer.ggml.add_space_prefix"][0] is expected
    assert rules.fuses_unknown


@pytest.mark.parametrize(("trainer", "expected"), [(b"", 1), (varint(41 << 3) + varint(2), 2)])
def test_bos_is_the_models_own_where_no_other_file_says(folder, trainer, expected):
    (folder / "tokenizer.model").write_bytes(model_bytes(trainer=trainer))
    keys, _ = vocabulary(folder, JsonFile(folder / "config.json", {"vocab_size": 8}))
    assert keys["tokenizer.ggml.bos_token_id"][0] == expected


def test_model_without_bos_names_none(folder):
    none = varint(41 << 3) + varint((1 << 64) - 1)  # minus one
    (folder / "tokenizer.model").write_bytes(model_bytes(trainer=none))
    keys, _ = vocabulary(folder, JsonFile(folder / "config.json", {"vocab_size": 8}))
    assert "tokenizer.ggml.bos_token_id" not in keys
