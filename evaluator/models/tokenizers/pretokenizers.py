"""How each `tokenizer.ggml.pre` name splits text before byte-pair merging, as in llama.cpp.

Every name has an entry, and an unknown name is an error, because a wrong split gives plausible but different ids.
Where llama.cpp differs from a family's published tokenizer (it distinguishes upper and lower case in ASCII only),
this module follows llama.cpp; `published` returns the family's own splitter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tokenizers import Regex, pre_tokenizers

from evaluator.models.tokenizers.unicode_classes import with_known_characters

_CONTRACTIONS = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_FOLDED_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_STEPPED_SPACES = (
    r"\s*[\r\n]+|" + "".join(rf"\s{{{n}}}(?!\S)|" for n in (512, 256, 128, 64, 32, 16, 8, 4)) + r"\s{1,2}(?!\S)|\s"
)
_HAN = r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2EBEF}\x{2F800}-\x{2FA1F}"

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}"
_QWEN2 = rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}|{_SIGNS}|{_SPACES}"
_QWEN35 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
#: Groups of three digits from the right; text before a number stays with its first group.
_DIGITS_FROM_RIGHT = (
    r"(?:[^\p{N}]++|(?<!\p{N}))\p{N}{1,3}(?=(?:\p{N}{3})*+(?!\p{N}))|\p{N}{3}"
)
#: Within a number, cuts only before groups of three ASCII digits up to where such digits end.
_FEW = "(?:[^0-9]|(?<![0-9])[0-9]{1,2}(?![0-9]))++"
_LEAD = "(?<![0-9])[0-9]{1,2}(?=(?:[0-9]{3})++(?![0-9]))"
_ASCII_DIGITS_FROM_RIGHT = f"{_FEW}(?:{_LEAD})?|{_LEAD}|[0-9]{{3}}(?:(?![0-9]){_FEW}(?:{_LEAD})?)?"
_KANA_HAN = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_MARKED_WORD = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
)
_DEEPSEEK3 = (r"\p{N}{1,3}", _KANA_HAN, rf"{_MARKED_WORD}| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}")
_SPARK = (
    r"\p{N}{1,3}",
    _KANA_HAN,
    rf"{_MARKED_WORD}| ?[\p{{P}}\p{{S}}]+|[\r\n]|\s+(?!\S)|\s+",
    r"\p{N}",
)
#: Scripts without spaces between words; the second range begins where llama.cpp's does, not at U+F900.
_UNSPACED = (
    "[\u4e00-\u9fff\u3400-\u4dbf\u8c48-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f"
    "\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+"
)
_AFMOE = (_DIGITS_FROM_RIGHT, _UNSPACED, _DEEPSEEK3[2])
_YOUTU_SCRIPTS = (
    "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+"
    f"|[\u3105-\u312f]+|{_KANA_HAN}"
)
#: Letters with upper and lower case, as listed in DeepSeek's tokenizers.
_DEEPSEEK_LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
    "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba"
    "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
    "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe"
    "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102"
    "\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
    "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
    "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
    "\U0001e900-\U0001e943"
)
# llama.cpp's classes never include white space, so it is removed from these two ranges.
_CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff&&[^\\s]]+"
_DEEPSEEK_SIGNS = "[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002&&[^\\s]]+"
_DEEPSEEK_LLM = (
    "[\r\n]",
    rf"\s?[{_DEEPSEEK_LETTERS}]+",
    rf"\s?{_DEEPSEEK_SIGNS}",
    r"\s+$",
    _CJK,
    r"\p{N}+",
)
_DEEPSEEK_CODER = ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK, r"\p{N}")


#: (Upper case, lower case): llama.cpp distinguishes them in ASCII only, the families in all of Unicode.
_ASCII_CASES = (r"(?:(?=\p{L})[^a-z])", r"(?:(?=\p{L})[^A-Z])")
_CASES = (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]")


def _cased(cases: tuple[str, str], digits: str, ending: str = "") -> str:
    """Return a pattern whose words end where upper case follows lower case; `ending` is appended to words."""
    (upper, lower), lead = cases, r"[^\r\n\p{L}\p{N}]?"
    words = f"{lead}{upper}*{lower}+{ending}|{lead}{upper}+{lower}*{ending}"
    return rf"{words}|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"


#: llama.cpp takes both for letters and marks.
_NO_CASES = (r"[\p{L}\p{M}]", r"[\p{L}\p{M}]")
_MARKED_ASCII_CASES = (r"(?:(?=[\p{L}\p{M}])[^a-z])", r"(?:(?=[\p{L}\p{M}])[^A-Z])")
_TEKKEN = _cased(_ASCII_CASES, r"\p{N}")
_GPT4O = _cased(_ASCII_CASES, r"\p{N}{1,3}", f"{_CONTRACTIONS}?")
_KIMI = rf"[{_HAN}]+|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}&&[^{_HAN}]]+{_CONTRACTIONS}?|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}"
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"


@dataclass(frozen=True)
class PreTokenization:
    """A way to split texts.

    Attributes:
        patterns: regular expressions, applied in order to the pieces of the one before; each isolates its matches.
        ignore_merges: whether words that are tokens skip the merges.
        adds_bos: whether a model adds BOS if its file does not state it.
        spelled: builds the splitter as in the families' own tokenizer files, if it is written differently there.
    """

    patterns: tuple[str, ...]
    ignore_merges: bool = False
    adds_bos: bool = False
    spelled: Callable[[], pre_tokenizers.PreTokenizer] | None = field(default=None, compare=False, repr=False)

    def build(self) -> pre_tokenizers.PreTokenizer:
        """Return the splitter, whose words are in the byte-level alphabet."""
        return _sequence(*(_isolated(with_known_characters(pattern)) for pattern in self.patterns), _byte_level())

    def published(self) -> pre_tokenizers.PreTokenizer:
        """Return the splitter as in the families' own tokenizer files."""
        return self.spelled() if self.spelled else _sequence(*map(_isolated, self.patterns), _byte_level())


def _isolated(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)


def _byte_level(*, split_words: bool = False) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split_words)


def _sequence(*steps: pre_tokenizers.PreTokenizer) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(list(steps))


def _by(*patterns: str, published: str | None = None, **traits: bool) -> PreTokenization:
    spelled = (lambda: _sequence(_isolated(published), _byte_level())) if published else None
    return PreTokenization(patterns, **traits, spelled=spelled)


def _folded(pattern: str) -> str:
    return pattern.replace(_CONTRACTIONS, _FOLDED_CONTRACTIONS)


def _published_digits() -> pre_tokenizers.PreTokenizer:
    return _sequence(pre_tokenizers.Digits(individual_digits=True), _byte_level(split_words=True))


PRE_TOKENIZERS: Mapping[str, PreTokenization] = {
    name: splitting
    for splitting, names in (
        (
            PreTokenization((_GPT2,), spelled=lambda: _byte_level(split_words=True)),
            "gpt-2 mpt olmo jais phi-2 trillion granite-docling gigachat a.x-4.0 mellum modern-bert exaone4 "
            "jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe",
        ),
        (
            PreTokenization((r"\p{N}", _GPT2), spelled=_published_digits),
            "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
        ),
        (
            _by(_LLAMA3, ignore_merges=True, adds_bos=True, published=_folded(_LLAMA3)),
            "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
        ),
        (_by(_LLAMA3, published=_folded(_LLAMA3)), "dbrx smaug-bpe chatglm-bpe"),
        (_by(_LLAMA3, ignore_merges=True, published=_folded(_LLAMA3)), "glm4 glm5"),
        (
            _by(_QWEN2, published=_folded(_QWEN2)),
            "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2",
        ),
        (_by(_QWEN35, published=_folded(_QWEN35)), "qwen35"),
        (_by(_TEKKEN, ignore_merges=True, adds_bos=True, published=_cased(_CASES, r"\p{N}")), "tekken"),
        (
            _by(_GPT4O, published=_cased(_CASES, r"\p{N}{1,3}", f"{_FOLDED_CONTRACTIONS}?")),
            "gpt-4o llama4 kanana2 talkie minimax-m2",
        ),
        (_by(*_DEEPSEEK3), "deepseek-v3 hunyuan-dense joyai-llm hy_v4"),
        (_by(*_SPARK), "spark2_5"),
        (_by(*_DEEPSEEK_LLM), "deepseek-llm"),
        (_by(*_DEEPSEEK_CODER), "deepseek-coder"),
        (_by(r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]"), "falcon"),
        (_by(r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]"), "default"),
        (_by(_BLOOM), "bloom gpt3-finnish poro-chat"),
        (_by(_BLOOM, r"\p{N}"), "viking"),
        (_by(_KIMI), "kimi-k2"),
        (
            _by(
                rf"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|{_WORD}|\p{{N}}|{_SIGNS}|\s*[\r\n]|\s+(?!\S)|\s+"
            ),
            "bailingmoe bailingmoe2 llada-moe",
        ),
        (
            _by(rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}"),
            "seed-coder",
        ),
        (_by(rf"{_WORD}|\p{{N}}|{_SIGNS}|{_SPACES}"), "ufakzeka"),
        (
            _by(
                r"\p{N}{1,3}",
                rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}+|{_SIGNS}|{_SPACES}",
                ignore_merges=True,
            ),
            "minicpm5",
        ),
        (
            _by(
                rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
                r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
            ),
            "exaone-moe",
        ),
        (_by(r"[^\n]+|\n+", _QWEN2), "laguna"),
        (_by(rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|{_STEPPED_SPACES}"), "jais-2"),
        (_by(*_AFMOE), "afmoe"),
        (
            _by(
                _YOUTU_SCRIPTS,
                _cased(_NO_CASES, r"\p{N}", f"{_CONTRACTIONS}?"),
                ignore_merges=True,
            ),
            "youtu",
        ),
        (
            _by(_DIGITS_FROM_RIGHT, _cased(_NO_CASES, r"\p{N}{1,3}", f"{_CONTRACTIONS}?")),
            "tiny_aya cohere2moe",
        ),
        (
            _by(
                _cased(_MARKED_ASCII_CASES, r"\p{N}{1,3}", f"{_CONTRACTIONS}?"),
                ignore_merges=True,
            ),
            "granite-embed-multi-97m",
        ),
        (
            _by(r"\p{N}+", _ASCII_DIGITS_FROM_RIGHT),
            "superbpe",
        ),
        (
            _by(
                "<sentinel:[0-9]+>",
                "IMGIMG[A-I]{1,4}Z",
                r"[\t\n]|    |  ",
                r"\p{N}",
                r"[\p{P}!-/:-@\[-`{-~]",
                _GPT2,
                adds_bos=True,
            ),
            "chameleon",
        ),
        (
            _by(rf"{_CONTRACTIONS}|'\u017f|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}\x{{200C}}\x{{200D}}]+|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}"),
            "k2-horizon",
        ),
    )
    for name in names.split()
}
