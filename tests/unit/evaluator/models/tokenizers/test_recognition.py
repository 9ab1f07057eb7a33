"""Pre-tokenizers of tokenizer.json in several spellings, and ones that are not known."""

from __future__ import annotations

import copy
import json

import pytest
from tokenizing import BYTE_LEVEL

from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS
from evaluator.models.tokenizers.published import published_steps
from evaluator.models.tokenizers.recognition import as_json, recognize

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}


def split(pattern, behavior="Isolated", **changes):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": False} | changes


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def published(name):
    return sequence(*map(as_json, published_steps(PRE_TOKENIZERS[name].patterns)))


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_published_pre_tokenizers_are_recognized(name):
    way = PRE_TOKENIZERS[name]
    found = recognize(json.loads(json.dumps(published(name))), ignore_merges=way.ignore_merges)
    assert (PRE_TOKENIZERS[found].patterns, PRE_TOKENIZERS[found].ignore_merges) == (
        way.patterns,
        way.ignore_merges,
    )


@pytest.mark.parametrize(
    "spelled",
    [
        sequence(split(QWEN2), BYTES),
        sequence(sequence(split(QWEN2)), BYTES),
        sequence(split(QWEN2, "Removed", invert=True), BYTES),
        sequence(split(QWEN2.replace(r"\r\n", "\r\n")), BYTES),
        sequence(split(QWEN2.replace(r"\p{N}|", r"\p{N}{1}|")), BYTES),
    ],
    ids=["as is", "nested", "matches kept", "line ends as they are", "one digit"],
)
def test_spelling_does_not_matter(spelled):
    assert recognize(spelled, ignore_merges=False) == "qwen2"


def test_possessive_and_case_folding_patterns_are_recognized():
    pattern = (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
        r"|\s*[\r\n]|\s+(?!\S)|\s+"
    )
    assert recognize(sequence(split(pattern), BYTES), ignore_merges=False) == "bailingmoe"


UNKNOWN = [
    None,
    {"type": "Whitespace"},
    sequence(split(QWEN2)),
    sequence(split(QWEN2, "MergedWithNext"), BYTES),
    sequence(split(QWEN2, "Removed"), BYTES),
    sequence(split(QWEN2, invert=True), BYTES),
    sequence(split(QWEN2.removesuffix(r"|\s+"), "Removed", invert=True), BYTES),
    sequence(split(QWEN2), BYTES | {"add_prefix_space": True}),
    sequence(split(QWEN2.replace("'s|", "")), BYTES),
    sequence({"type": "Split", "pattern": {"String": QWEN2}, "behavior": "Isolated"}, BYTES),
    sequence({"type": "Split"}, BYTES),
]


@pytest.mark.parametrize("other", UNKNOWN, ids=range(len(UNKNOWN)))
def test_other_pre_tokenizers_are_not_recognized(other):
    before = copy.deepcopy(other)
    assert recognize(other, ignore_merges=False) is None
    assert other == before


def test_merges_that_are_ignored_make_a_difference():
    assert recognize(published("qwen2"), ignore_merges=True) is None
    assert recognize(published("dbrx"), ignore_merges=False) == "dbrx"
    assert recognize(published("dbrx"), ignore_merges=True) == "llama-bpe"
