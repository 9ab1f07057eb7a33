"""Settings of tokenizer files: as in the tokenizers library and transformers, or rejected."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gguf
import pytest
from tiny_checkpoints import edit_json, random_model, save_checkpoint
from tiny_models import END_OF_TEXT
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

from evaluator.models.sources.open_model import open_model
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.support.errors import SourceError
from evaluator.texts.chat import control_tokens, encode_with_control

BOS = "<|begin|>"
TEXT = "The other cafe\u0301, in  the <th> north\n<|tool|> of A\u030angstro\u0308m."


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = random_model(
        "llama", tie_word_embeddings=True, vocab_size=320, hidden_size=32, intermediate_size=32
    )
    return save_checkpoint(model, tmp_path_factory.mktemp("models") / "Tiny-Llama")


@pytest.fixture
def folder(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "Tiny-Llama"))


def changed(folder, *tokens, **parts):
    """Write the tokenizer of `folder` with more tokens and parts; return it as the library reads it."""
    path = str(folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    tokenizer.add_tokens(list(tokens))
    tokenizer.add_special_tokens([BOS])
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    tokenizer.save(path)
    return Tokenizer.from_file(path)


def template(*before, after=(), name=BOS):
    special = [(name, 263), (END_OF_TEXT, 262)]
    return processors.TemplateProcessing(single=" ".join((*before, "$A", *after)), special_tokens=special)


def ids_of(folder, text=TEXT):
    return tokenizer_from_gguf(open_model(folder)).encode(text).tolist()


@pytest.mark.parametrize(
    "config", [None, {}, {"bos_token": {"content": BOS}}], ids=["none", "empty", "named"]
)
@pytest.mark.parametrize("wrapped", [True, False], ids=["among others", "alone"])
def test_bos_of_the_template_is_added_without_a_word_of_other_files(folder, config, wrapped):
    step = template(BOS)
    wrap = processors.Sequence([processors.ByteLevel(), step]) if wrapped else step
    library = changed(folder, post_processor=wrap)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if config is None:
        (folder / "tokenizer_config.json").unlink()
    tokenizer = tokenizer_from_gguf(open_model(folder))
    assert [tokenizer.bos_id, *tokenizer.encode(TEXT)] == library.encode(TEXT).ids
    if config is None:
        converter = gguf.SpecialVocab(folder)
        assert converter.add_special_token["bos"] is True


@pytest.mark.parametrize(
    ("processor", "settings", "adds"),
    [
        (None, {}, False),
        (None, {"add_bos_token": True, "bos_token": BOS}, True),
        (template(BOS), {"bos_token": BOS}, True),
        (template(BOS), {"bos_token": BOS, "add_bos_token": False}, False),
        (template(BOS), {"cls_token": BOS}, True),
        (template(after=[END_OF_TEXT]), {"bos_token": BOS}, False),
    ],
)
def test_whether_bos_is_added_is_what_the_converter_finds(folder, processor, settings, adds):
    changed(folder, **({"post_processor": processor} if processor else {}))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = tokenizer_from_gguf(open_model(folder))
    assert tokenizer.bos_id == (263 if adds else None)
    converter = gguf.SpecialVocab(folder)
    assert converter.add_special_token.get("bos", False) is adds
    assert converter.special_token_ids.get("bos") == (263 if settings else None)


def test_tokenizer_class_that_adds_bos_is_known(folder):
    changed(folder)
    settings = {"tokenizer_class": "LlamaTokenizerFast", "bos_token": BOS, "eos_token": END_OF_TEXT}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"unk_token": END_OF_TEXT}))
    expected = AutoTokenizer.from_pretrained(folder)("the").input_ids
    tokenizer = tokenizer_from_gguf(open_model(folder))
    assert [tokenizer.bos_id, *tokenizer.encode("the")] == expected


def test_bos_may_be_named_by_the_file_of_special_tokens_alone(folder):
    changed(folder, post_processor=template(BOS))
    (folder / "tokenizer_config.json").unlink()
    edit_json(folder / "config.json", bos_token_id=7)
    (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": BOS}))
    file = open_model(folder)
    assert tokenizer_from_gguf(file).bos_id == 263
    assert folder / "special_tokens_map.json" in file.files


@pytest.mark.parametrize(
    ("normalizer", "name"),
    [(normalizers.NFC(), "NFC"), (normalizers.Sequence([normalizers.NFC()]), "a sequence"), (None, "none")],
)
def test_texts_are_composed_where_the_file_says_so(folder, normalizer, name):
    library = changed(folder, **({"normalizer": normalizer} if normalizer else {}))
    assert ids_of(folder) == library.encode(TEXT, add_special_tokens=False).ids, name


OTHER_NORMALIZERS = [
    normalizers.Lowercase(),
    normalizers.NFKC(),
    normalizers.NFD(),
    normalizers.StripAccents(),
    normalizers.Strip(),
    normalizers.Replace("e", "a"),
    normalizers.Prepend("x"),
    normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()]),
]


@pytest.mark.parametrize("normalizer", OTHER_NORMALIZERS, ids=str)
def test_other_changes_of_texts_are_refused(folder, normalizer):
    changed(folder, normalizer=normalizer)
    with pytest.raises(SourceError, match=r"tokenizer\.json: normalizer: only NFC or none is supported"):
        open_model(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dropout", 0.1),
        ("continuing_subword_prefix", "##"),
        ("end_of_word_suffix", "</w>"),
    ],
)
def test_other_ways_to_merge_are_refused(folder, key, value):
    path = folder / "tokenizer.json"
    edit_json(path, model=json.loads(path.read_text())["model"] | {key: value})
    with pytest.raises(SourceError, match=f"model.{key} is .*, not absent"):
        open_model(folder)


def test_unknown_token_that_a_byte_may_need_is_refused(folder):
    path = folder / "tokenizer.json"
    model = json.loads(path.read_text())["model"] | {"unk_token": "a"}
    edit_json(path, model=model)
    assert ids_of(folder)
    edit_json(path, model=model | {"vocab": {k: v for k, v in model["vocab"].items() if k != "Ā"}})
    with pytest.raises(SourceError, match=r"model\.unk_token is 'a', not needed"):
        open_model(folder)


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        (processors.BertProcessing((END_OF_TEXT, 262), (BOS, 263)), "post_processor: only a template"),
        (template(BOS, END_OF_TEXT), "a template with one token before the text"),
    ],
    ids=["BERT's", "two tokens"],
)
def test_other_post_processing_is_refused(folder, processor, message):
    changed(folder, post_processor=processor)
    with pytest.raises(SourceError, match=message):
        open_model(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"bos_token": END_OF_TEXT},
            r"bos_token is '<\|endoftext\|>', not <\|begin\|>, with which tokenizer\.json",
        ),
        ({"add_bos_token": True, "bos_token": "<nowhere>"}, "bos_token is '<nowhere>', not a known token"),
        ({"add_prefix_space": True}, "add_prefix_space is True, not false"),
    ],
)
def test_settings_that_contradict_are_refused(folder, settings, message):
    changed(folder, post_processor=template(BOS))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(SourceError, match=message):
        open_model(folder)


def test_splitter_of_an_older_file_is_known_without_a_setting_that_was_not_there_yet(folder):
    expected = changed(folder).encode(TEXT, add_special_tokens=False).ids
    edit_json(folder / "tokenizer.json", pre_tokenizer={"type": "ByteLevel", "add_prefix_space": False})
    assert ids_of(folder) == expected


def test_space_that_is_refused_would_have_changed_ids(folder):
    library = changed(folder)
    settings = {"add_prefix_space": True, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert AutoTokenizer.from_pretrained(folder)("the").input_ids != library.encode("the").ids


@pytest.mark.parametrize(
    "flags", [{}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True}], ids=str
)
def test_added_tokens_take_white_space_away_as_they_say(folder, flags):
    library = changed(folder, AddedToken("<th>", **flags), AddedToken("<in>", special=True, **flags))
    assert ids_of(folder) == library.encode(TEXT, add_special_tokens=False).ids
    file, text = open_model(folder), f"the <in> north<in>\n{END_OF_TEXT} in<th> the"
    ids = encode_with_control(tokenizer_from_gguf(file), text, control_tokens(file)).tolist()
    assert ids == library.encode(text, add_special_tokens=False).ids


def test_token_that_is_a_whole_word_only_is_refused(folder):
    changed(folder, AddedToken("<th>", single_word=True))
    with pytest.raises(SourceError, match="single_word of an added token is True"):
        open_model(folder)


def test_tokens_that_only_the_settings_list_are_cut_out(folder):
    entry = {"content": "<|tool|>x", "special": False, "normalized": False}
    flags = dict.fromkeys(("lstrip", "rstrip", "single_word"), False)
    settings = {"added_tokens_decoder": {"263": entry | flags}, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    text = "the <|tool|>x north"
    assert ids_of(folder, text) == AutoTokenizer.from_pretrained(folder)(text).input_ids
    assert 263 in ids_of(folder, text)


#: Merges ordered so that the leftmost pair is also the best one.
PIECES = ["<unk>", "a", "b", "▁", "▁a", "ab", "<t>"]
REPLACE, PREPEND = normalizers.Replace(" ", "▁"), normalizers.Prepend("▁")


def fallback_tokenizer(normalizer, splitter, *, fuse_unk=True):
    vocab = {piece: index for index, piece in enumerate(PIECES)}
    merges = [("▁", "a"), ("a", "b")]
    model = models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=fuse_unk, byte_fallback=True)
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if splitter:
        tokenizer.pre_tokenizer = splitter
    tokenizer.add_special_tokens(["<unk>"])
    return tokenizer


@pytest.mark.parametrize(
    ("normalizer", "splitter", "prefix"),
    [
        (normalizers.Sequence([PREPEND, REPLACE]), None, True),
        (REPLACE, None, False),
        (REPLACE, pre_tokenizers.Split(" ", "merged_with_previous"), False),
        (None, pre_tokenizers.Metaspace(split=False), True),
        (None, pre_tokenizers.Metaspace(split=False, prepend_scheme="first"), True),
        (None, pre_tokenizers.Metaspace(split=False, prepend_scheme="never"), False),
    ],
)
@pytest.mark.parametrize("fuse_unk", [True, False], ids=["fused", "apart"])
def test_sentencepiece_in_all_its_spellings(folder, normalizer, splitter, prefix, fuse_unk):
    library = fallback_tokenizer(normalizer, splitter, fuse_unk=fuse_unk)
    library.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").unlink()
    file, text = open_model(folder), "ab a  xyb éx"
    assert file.metadata["tokenizer.ggml.add_space_prefix"] is prefix
    assert not file.text_rules.merges_in_order
    assert tokenizer_from_gguf(file).encode(text).tolist() == library.encode(text).ids


@pytest.mark.parametrize(
    ("normalizer", "splitter"),
    [
        (None, None),
        (normalizers.Sequence([normalizers.Lowercase(), PREPEND, REPLACE]), None),
        (normalizers.NFC(), None),
        (REPLACE, pre_tokenizers.Whitespace()),
        (None, pre_tokenizers.Metaspace(split=True)),
        (None, pre_tokenizers.Metaspace(replacement="_", split=False)),
    ],
)
def test_what_is_not_sentencepiece_is_refused(folder, normalizer, splitter):
    fallback_tokenizer(normalizer, splitter).save(str(folder / "tokenizer.json"))
    with pytest.raises(SourceError, match="normalizer and pre_tokenizer: only SentencePiece's is supported"):
        open_model(folder)
