"""Tokenizers from tiny vocabularies, against ids written by hand."""

from __future__ import annotations

from dataclasses import replace

import gguf
import numpy as np
import pytest
from llama_vocabulary import NO_TOKEN, llama_vocabularies, llama_vocabulary
from tiny_models import CONTROL, END_OF_TEXT, MERGES, USER_DEFINED, write_tiny_llama

from evaluator.engines.llama_cpp.process import LlamaError
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf, vocabulary_digest
from evaluator.support.errors import SourceError
from evaluator.texts.chat import control_tokens, encode_with_control

TH, THE, SPACE_THE, IN, SPACE_A, ER = range(256, 256 + len(MERGES))
SMALL = {"hidden": 32, "layers": 1, "ffn": 32}
U32, BOOL = gguf.GGUFValueType.UINT32, gguf.GGUFValueType.BOOL


@pytest.fixture
def tokenizer_of(tmp_path):
    def build(**options):
        path = write_tiny_llama(tmp_path / "t.gguf", hidden=32, layers=1, ffn=32, **options)
        return tokenizer_from_gguf(open_gguf(path))

    return build


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("the", [THE]),
        ("the the", [THE, SPACE_THE]),
        ("in a", [IN, SPACE_A]),
        ("xyz", list(b"xyz")),
        ("a\r\nb\n", list(b"a\r\nb\n")),
        ("é", list("é".encode())),
        (END_OF_TEXT, list(END_OF_TEXT.encode())),
        ("", []),
    ],
)
def test_ids_are_those_written_by_hand(tokenizer_of, text, ids):
    assert tokenizer_of().encode(text).tolist() == ids


def test_user_defined_token_is_cut_out_and_control_token_is_not(tokenizer_of):
    tokenizer = tokenizer_of(tokens=[("<th>", USER_DEFINED), ("<in>", CONTROL)])
    user_defined = 256 + len(MERGES) + 1
    assert tokenizer.encode("a<th>b").tolist() == [ord("a"), user_defined, ord("b")]
    assert tokenizer.encode("<in>").tolist() == [ord("<"), IN, ord(">")]


def test_smollm_splits_digits_and_gpt2_does_not(tokenizer_of):
    merges = (*MERGES, "1 2")
    joined = 256 + len(MERGES)
    assert tokenizer_of(merges=merges, pre="gpt-2").encode("12").tolist() == [joined]
    assert tokenizer_of(merges=merges, pre="smollm").encode("12").tolist() == list(b"12")


def test_unknown_pre_tokenizer_names_the_known_ones(tokenizer_of):
    with pytest.raises(
        SourceError, match=r"'martian' is not known.*--pre NAME.*known, .*gpt-2.*smollm"
    ) as caught:
        tokenizer_of(pre="martian")
    assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match=r"'qwen-2' is not known; did you mean .*qwen2.*other tokens than"):
        tokenizer_of(pre="qwen-2")


@pytest.mark.parametrize("merge", ["t", "", "q☃ z", "x yz"])
def test_damaged_merges_are_a_source_error(tmp_path, merge):
    path = write_tiny_llama(tmp_path / "t.gguf", hidden=32, layers=1, ffn=32)
    file = open_gguf(path)
    file.metadata["tokenizer.ggml.merges"].append(merge)
    with pytest.raises(SourceError, match="damaged tokenizer tables"):
        tokenizer_from_gguf(file)


@pytest.mark.parametrize("table", ["tokenizer.ggml.tokens", "tokenizer.ggml.merges"])
def test_table_that_is_a_number_is_a_source_error(tmp_path, table):
    file = open_gguf(write_tiny_llama(tmp_path / "t.gguf", hidden=32, layers=1, ffn=32))
    file.metadata[table] = 7
    with pytest.raises(SourceError):
        tokenizer_from_gguf(file)


@pytest.mark.parametrize("kind", ["bert", "t5", "rwkv", "plamo2", "hybriddna", "whitespace"])
def test_other_tokenizer_kind_is_refused(tmp_path, kind):
    file = open_gguf(write_tiny_llama(tmp_path / "t.gguf", hidden=32, layers=1, ffn=32))
    file.metadata["tokenizer.ggml.model"] = kind
    with pytest.raises(SourceError, match=f"{kind!r} is not supported; known: gpt2, gemma4, llama"):
        tokenizer_from_gguf(file)


def test_sentencepiece_needs_a_score_per_token_and_adds_bos_unless_told_otherwise(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "t.gguf", hidden=32, layers=1, ffn=32))
    file.metadata["tokenizer.ggml.model"] = "llama"
    file.metadata["tokenizer.ggml.bos_token_id"] = 5
    with pytest.raises(SourceError, match="scores is missing"):
        tokenizer_from_gguf(file)
    size = len(file.metadata["tokenizer.ggml.tokens"])
    file.metadata["tokenizer.ggml.scores"] = np.zeros(size - 1, np.float32)
    with pytest.raises(SourceError, match="a score per token"):
        tokenizer_from_gguf(file)
    file.metadata["tokenizer.ggml.scores"] = np.zeros(size, np.float32)
    assert tokenizer_from_gguf(file).bos_id == 5
    file.metadata["tokenizer.ggml.add_bos_token"] = False
    assert tokenizer_from_gguf(file).bos_id is None


@pytest.mark.parametrize(
    ("pre", "adds", "bos", "expected"),
    [
        ("gpt-2", None, 5, None),
        ("gpt-2", True, 5, 5),
        ("llama-bpe", None, 5, 5),
        ("llama-bpe", False, 5, None),
        ("tekken", None, 5, 5),
        ("dbrx", None, 5, None),
        ("smollm", True, 0, 0),
    ],
)
def test_bos_follows_the_flag_then_the_family(tokenizer_of, pre, adds, bos, expected):
    metadata = {}
    if adds is not None:
        metadata["tokenizer.ggml.add_bos_token"] = (adds, BOOL)
    if bos is not None:
        metadata["tokenizer.ggml.bos_token_id"] = (bos, U32)
    assert tokenizer_of(pre=pre, metadata=metadata).bos_id == expected


@pytest.mark.parametrize("adds", [None, True, False])
@pytest.mark.parametrize("bos", [None, 5])
def test_bos_is_llama_cpps_for_every_name(tmp_path, adds, bos):
    metadata = {} if adds is None else {"tokenizer.ggml.add_bos_token": (adds, BOOL)}
    metadata |= {} if bos is None else {"tokenizer.ggml.bos_token_id": (bos, U32)}
    names = [name for name, splitting in PRE_TOKENIZERS.items() if splitting.byte_level]
    paths = [
        write_tiny_llama(tmp_path / f"{name}.gguf", **SMALL, pre=name, metadata=metadata) for name in names
    ]
    expected = [item.bos_id for item in llama_vocabularies(paths, [])]
    found = [tokenizer_from_gguf(open_gguf(path)).bos_id for path in paths]
    assert found == [None if index == NO_TOKEN else index for index in expected]


#: Tokens of all types; some have a meaning by their name only.
MARKS = [
    ("<|user|>", CONTROL),
    ("<|end|>", USER_DEFINED),
    ("<th>", USER_DEFINED),
    ("<s>", CONTROL),
    ("</s>", CONTROL),
    ("<unk>", gguf.TokenType.UNKNOWN.value),
]
MARKED = "<s><|user|>\n the<th> in\t<|end|>\n</s> \n<|user|>x <s> y<|endoftext|> z"


@pytest.mark.parametrize("name", ["Phi-3 mini", "phi3", "Tiny"])
def test_white_space_after_marks_goes_where_llama_cpp_drops_it(tmp_path, name):
    metadata = {"general.name": (name, gguf.GGUFValueType.STRING)}
    path = write_tiny_llama(tmp_path / "t.gguf", **SMALL, tokens=MARKS, metadata=metadata)
    file = open_gguf(path)
    tokenizer = tokenizer_from_gguf(file)
    ids = encode_with_control(tokenizer, MARKED, control_tokens(file)).tolist()
    assert ids == llama_vocabulary(path, [MARKED], parse_special=True).ids[0]
    assert tokenizer.encode(MARKED).tolist() == llama_vocabulary(path, [MARKED]).ids[0]


#: Tokens whose type is missing or wrong; llama.cpp recognizes them by their names.
BY_NAME = [
    "<|im_end|>",
    "<|end|>",
    "<|start|>",
    "<|fim_prefix|>",
    "<|call|>",
    "<|return|>",
    "<|calls|>",
    "<|flush|>",
]


#: Names of tokens, and the key that names the first of them, if any.
NAMED = [
    (BY_NAME[:4], None),
    (BY_NAME[:4], "tokenizer.ggml.fim_pre_token_id"),
    (BY_NAME[:4], "tokenizer.ggml.prefix_token_id"),
    (BY_NAME[:5], None),
    (BY_NAME[:6], None),
    ([*BY_NAME[:4], "<|calls|>", "<|flush|>"], None),
    ([*BY_NAME[:4], "<|return|>", "<|flush|>"], None),
    (["</s>", "<|tool_response>"], None),
    (["</s>", "<|ifm|im_end|>", "[e~["], None),
    (["<|plamo:fim_prefix|>", "<|plamo:fim_suffix|>", "<|plamo:file_separator|>"], None),
]
KINDS = {"normal": 1, "control": CONTROL, "user-defined": USER_DEFINED}


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Files by kind and number of case, and what llama.cpp makes of all texts, plain and with control tokens."""
    folder, files = tmp_path_factory.mktemp("named"), {}
    for kind, number in KINDS.items():
        for case, (names, key) in enumerate(NAMED):
            options = SMALL | {"tokens": [(name, number) for name in names]}
            first = 256 + len(MERGES) + 1
            metadata = {key: (first + names.index("<|fim_prefix|>"), U32)} if key else {}
            files[kind, case] = write_tiny_llama(folder / f"{kind}-{case}.gguf", **options, metadata=metadata)
    texts, paths = [" the ".join(names) for names, _ in NAMED], list(files.values())
    answers = [llama_vocabularies(paths, texts, parse_special=special) for special in (False, True)]
    return {place: (path, *ids) for (place, path), *ids in zip(files.items(), *answers, strict=True)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", range(len(NAMED)))
def test_tokens_known_by_name_are_what_llama_cpp_takes_them_for(named, kind, case):
    path, plain, special = named[kind, case]
    file, text = open_gguf(path), " the ".join(NAMED[case][0])
    tokenizer = tokenizer_from_gguf(file)
    assert tokenizer.encode(text).tolist() == plain.ids[case]
    ids = encode_with_control(tokenizer, text, control_tokens(file)).tolist()
    assert ids == special.ids[case]


def test_token_that_is_there_twice_is_refused_as_llama_cpp_does(tmp_path):
    path = write_tiny_llama(tmp_path / "t.gguf", **SMALL, tokens=[("<th>", USER_DEFINED), ("<th>", CONTROL)])
    with pytest.raises(SourceError, match="token '<th>' is in its vocabulary twice"):
        tokenizer_from_gguf(open_gguf(path))
    with pytest.raises(LlamaError):
        llama_vocabulary(path, [])


def test_bos_outside_the_vocabulary_is_refused(tokenizer_of):
    metadata = {"tokenizer.ggml.add_bos_token": (True, BOOL), "tokenizer.ggml.bos_token_id": (99999, U32)}
    with pytest.raises(SourceError):
        tokenizer_of(metadata=metadata)


@pytest.mark.parametrize("change", [{"merges": MERGES[:-1]}, {"pre": "smollm"}, {"tokens": [("new", 1)]}])
def test_digest_changes_with_whatever_changes_ids(tmp_path, change):
    small = {"hidden": 32, "layers": 1, "ffn": 32}
    one = open_gguf(write_tiny_llama(tmp_path / "1.gguf", **small))
    same = open_gguf(write_tiny_llama(tmp_path / "2.gguf", **small, seed=9))
    other = open_gguf(write_tiny_llama(tmp_path / "3.gguf", **small, **change))
    assert vocabulary_digest(one) == vocabulary_digest(same) != vocabulary_digest(other)


def test_digest_is_the_same_for_names_of_one_way_to_split(tmp_path):
    small = {"hidden": 32, "layers": 1, "ffn": 32}
    one = open_gguf(write_tiny_llama(tmp_path / "1.gguf", **small, pre="qwen2"))
    other = open_gguf(write_tiny_llama(tmp_path / "2.gguf", **small, pre="deepseek-r1-qwen"))
    assert vocabulary_digest(one) == vocabulary_digest(other)


@pytest.mark.parametrize("use", [vocabulary_digest, tokenizer_from_gguf])
def test_half_a_character_in_the_tables_is_refused(tiny, use):
    tokens = ["\ud800", *tiny.metadata["tokenizer.ggml.tokens"][1:]]
    file = replace(tiny, metadata={**tiny.metadata, "tokenizer.ggml.tokens": tokens})
    with pytest.raises(SourceError, match="halves of characters"):
        use(file)
