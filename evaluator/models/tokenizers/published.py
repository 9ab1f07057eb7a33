"""Pre-tokenizers as the families' own tokenizer.json spell them, where that differs from llama.cpp's patterns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluator.models.tokenizers import patterns

#: A step of a pre-tokenizer: an object of tokenizer.json, or the regular expression of a split into matches and rest.
Step = str | Mapping[str, Any]

_BYTE_LEVEL: Step = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
#: GPT-2's own splitting is part of the step that maps bytes.
_GPT2: Step = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_DIGITS: Step = {"type": "Digits", "individual_digits": True}
_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#: (Upper case, lower case).
_CASES = (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]")
_NOT_HAN = tuple(f"{case[:-1]}&&[^\\p{{Han}}]]" for case in _CASES)
_GPT4O = patterns.cased(_CASES, r"\p{N}{1,3}", f"{_CONTRACTIONS}?")
_ESCAPED_CJK = patterns.CJK.replace("&&[^\\s]", "")


def published_steps(splits: tuple[str, ...]) -> tuple[Step, ...]:
    """Return the steps that families publish where llama.cpp splits by these patterns."""
    return _PUBLISHED.get(splits, (*splits, _BYTE_LEVEL))


def _folded(pattern: str) -> str:
    return pattern.replace(patterns.CONTRACTIONS, _CONTRACTIONS)


def _kimi() -> str:
    upper, lower = _NOT_HAN
    lead, ending = r"[^\r\n\p{L}\p{N}]?", f"{_CONTRACTIONS}?"
    words = f"{lead}{upper}*{lower}+{ending}|{lead}{upper}+{lower}*{ending}"
    return rf"[\p{{Han}}]+|{words}|\p{{N}}{{1,3}}|{patterns.SIGNS}|{patterns.SPACES}"


#: llama.cpp's patterns → steps.
_PUBLISHED: Mapping[tuple[str, ...], tuple[Step, ...]] = {
    (patterns.GPT2,): (_GPT2,),
    (r"\p{N}", patterns.GPT2): (_DIGITS, _GPT2),
    (patterns.LLAMA3,): (_folded(patterns.LLAMA3), _BYTE_LEVEL),
    (patterns.QWEN2,): (_folded(patterns.QWEN2), _BYTE_LEVEL),
    (patterns.QWEN35,): (_folded(patterns.QWEN35), _BYTE_LEVEL),
    (patterns.TEKKEN,): (patterns.cased(_CASES, r"\p{N}"), _BYTE_LEVEL),
    (patterns.GPT4O,): (_GPT4O, _BYTE_LEVEL),
    patterns.TINY_AYA: (r"\d{1,3}(?=(?:\d{3})*\b)", _GPT4O, _BYTE_LEVEL),
    (patterns.KIMI,): (_kimi(), _BYTE_LEVEL),
    patterns.DEEPSEEK_LLM: (
        *patterns.DEEPSEEK_LLM[:2],
        patterns.DEEPSEEK_LLM[2].replace("&&[^\\s]", ""),
        patterns.DEEPSEEK_LLM[3],
        _ESCAPED_CJK,
        _DIGITS,
        _BYTE_LEVEL,
    ),
    patterns.DEEPSEEK_CODER: (*patterns.DEEPSEEK_CODER[:3], _ESCAPED_CJK, _DIGITS, _BYTE_LEVEL),
    patterns.SPARK: (*patterns.SPARK[:3], _DIGITS, _BYTE_LEVEL),
    patterns.FALCON: (
        {"type": "Punctuation", "behavior": "Contiguous"},
        _GPT2,
        {"type": "Digits", "individual_digits": False},
        "[0-9][0-9][0-9]",
    ),
    (patterns.BLOOM,): (patterns.BLOOM.replace("|.", "|[.").replace(")]+", "])]+"), _BYTE_LEVEL),
    (patterns.BAILING,): (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|"
        + patterns.SPACES_AND_LINE_END,
        _BYTE_LEVEL,
    ),
    (patterns.SEED,): (_folded(patterns.SEED), _BYTE_LEVEL),
    patterns.MINICPM5: (*map(_folded, patterns.MINICPM5), _BYTE_LEVEL),
    (patterns.EXAONE_MOE,): (_folded(patterns.EXAONE_MOE), _BYTE_LEVEL),
    (patterns.LINES, patterns.QWEN2): (
        {"type": "Split", "pattern": {"Regex": r"(?:\r?\n)+(?!\r?\n)"}, "behavior": "MergedWithNext"},
        _folded(patterns.QWEN2),
        _BYTE_LEVEL,
    ),
    (patterns.JAIS2,): (_folded(patterns.JAIS2).removesuffix(r"\s") + r"\s{1}", _BYTE_LEVEL),
    patterns.YOUTU: (
        patterns.YOUTU_SCRIPTS,
        patterns.cased(_CASES, r"\p{N}", f"{_CONTRACTIONS}?"),
        _BYTE_LEVEL,
    ),
    patterns.SUPERBPE: (r"\p{N}+", r"(?=(\d{3})+(?!\d))", _BYTE_LEVEL),
    (patterns.K2_HORIZON,): (
        rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}|\p{{M}}|\u200c|\u200d)+"
        rf"|\p{{N}}{{1,3}}|{patterns.SIGNS}|{patterns.SPACES}",
        _BYTE_LEVEL,
    ),
}
