"""Regular expressions that split texts before byte-pair merging, as in llama.cpp."""

from __future__ import annotations

CONTRACTIONS = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
#: Like `SPACES`, but each end of a line is a word.
SPACES_AND_LINE_END = r"\s*[\r\n]|\s+(?!\S)|\s+"
STEPPED_SPACES = (
    r"\s*[\r\n]+|"
    + "".join(rf"\s{{{n}}}(?!\S)|" for n in (512, 256, 128, 64, 32, 16, 8, 4))
    + r"\s{1,2}(?!\S)|\s"
)
HAN = r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2EBEF}\x{2F800}-\x{2FA1F}"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = rf"{CONTRACTIONS}|{WORD}|\p{{N}}{{1,3}}|{SIGNS}|{SPACES}"
QWEN2 = rf"{CONTRACTIONS}|{WORD}|\p{{N}}|{SIGNS}|{SPACES}"
QWEN35 = (
    rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{SPACES}"
)
#: Groups of three digits from the right; text before a number stays with its first group.
_FIRST_DIGITS = r"\p{N}{1,3}(?=(?:\p{N}{3})*+(?!\p{N}))"
DIGITS_FROM_RIGHT = rf"[^\p{{N}}]++(?:{_FIRST_DIGITS})?|(?<!\p{{N}}){_FIRST_DIGITS}|\p{{N}}{{3}}"
#: Within a number, cuts only before groups of three ASCII digits up to where such digits end.
FEW = "(?:[^0-9]|(?<![0-9])[0-9]{1,2}(?![0-9]))++"
LEAD = "(?<![0-9])[0-9]{1,2}(?=(?:[0-9]{3})++(?![0-9]))"
ASCII_DIGITS_FROM_RIGHT = f"{FEW}(?:{LEAD})?|{LEAD}|[0-9]{{3}}(?:(?![0-9]){FEW}(?:{LEAD})?)?"
KANA_HAN = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
MARKED_WORD = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
DEEPSEEK3 = (r"\p{N}{1,3}", KANA_HAN, rf"{MARKED_WORD}| ?[\p{{P}}\p{{S}}]+[\r\n]*|{SPACES}")
SPARK = (
    r"\p{N}{1,3}",
    KANA_HAN,
    rf"{MARKED_WORD}| ?[\p{{P}}\p{{S}}]+|[\r\n]|\s+(?!\S)|\s+",
    r"\p{N}",
)
#: Scripts without spaces between words; the second range begins where llama.cpp's does, not at U+F900.
UNSPACED = (
    "[\u4e00-\u9fff\u3400-\u4dbf\u8c48-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f"
    "\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+"
)
AFMOE = (DIGITS_FROM_RIGHT, UNSPACED, DEEPSEEK3[2])
YOUTU_SCRIPTS = (
    "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+"
    f"|[\u3105-\u312f]+|{KANA_HAN}"
)
#: Letters with upper and lower case, as listed in DeepSeek's tokenizers.
DEEPSEEK_LETTERS = (
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
CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff&&[^\\s]]+"
DEEPSEEK_SIGNS = "[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002&&[^\\s]]+"
DEEPSEEK_LLM = (
    "[\r\n]",
    rf"\s?[{DEEPSEEK_LETTERS}]+",
    rf"\s?{DEEPSEEK_SIGNS}",
    r"\s+$",
    CJK,
    r"\p{N}+",
)
DEEPSEEK_CODER = ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}")


#: (Upper case, lower case): llama.cpp distinguishes them in ASCII only, the families in all of Unicode.
ASCII_CASES = (r"(?:(?=\p{L})[^a-z])", r"(?:(?=\p{L})[^A-Z])")


def cased(cases: tuple[str, str], digits: str, ending: str = "") -> str:
    """Return a pattern whose words end where upper case follows lower case; `ending` is appended to words."""
    (upper, lower), lead = cases, r"[^\r\n\p{L}\p{N}]?"
    words = f"{lead}{upper}*{lower}+{ending}|{lead}{upper}+{lower}*{ending}"
    return rf"{words}|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{SPACES}"


#: llama.cpp takes both for letters and marks.
NO_CASES = (r"[\p{L}\p{M}]", r"[\p{L}\p{M}]")
MARKED_ASCII_CASES = (r"(?:(?=[\p{L}\p{M}])[^a-z])", r"(?:(?=[\p{L}\p{M}])[^A-Z])")
TEKKEN = cased(ASCII_CASES, r"\p{N}")
GPT4O = cased(ASCII_CASES, r"\p{N}{1,3}", f"{CONTRACTIONS}?")
KIMI = rf"[{HAN}]+|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}&&[^{HAN}]]+{CONTRACTIONS}?|\p{{N}}{{1,3}}|{SIGNS}|{SPACES}"
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
BAILING = rf"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|{WORD}|\p{{N}}|{SIGNS}|{SPACES_AND_LINE_END}"
SEED = rf"{CONTRACTIONS}|{WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{SPACES}"
UFAKZEKA = rf"{WORD}|\p{{N}}|{SIGNS}|{SPACES}"
MINICPM5 = (r"\p{N}{1,3}", rf"{CONTRACTIONS}|{WORD}|\p{{N}}+|{SIGNS}|{SPACES}")
#: Words of several words: letters with their marks, and single spaces between them.
EXAONE_MOE = (
    rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|{SPACES_AND_LINE_END}"
)
LINES = r"[^\n]+|\n+"
JAIS2 = rf"{CONTRACTIONS}|{WORD}|\p{{N}}{{1,3}}|{SIGNS}|{STEPPED_SPACES}"
YOUTU = (YOUTU_SCRIPTS, cased(NO_CASES, r"\p{N}", f"{CONTRACTIONS}?"))
TINY_AYA = (DIGITS_FROM_RIGHT, cased(NO_CASES, r"\p{N}{1,3}", f"{CONTRACTIONS}?"))
GRANITE_EMBEDDING = cased(MARKED_ASCII_CASES, r"\p{N}{1,3}", f"{CONTRACTIONS}?")
SUPERBPE = (r"\p{N}+", ASCII_DIGITS_FROM_RIGHT)
CHAMELEON = (
    "<sentinel:[0-9]+>",
    "IMGIMG[A-I]{1,4}Z",
    r"[\t\n]|    |  ",
    r"\p{N}",
    r"[\p{P}!-/:-@\[-`{-~]",
    GPT2,
)
K2_HORIZON = (
    rf"{CONTRACTIONS}|'\u017f|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}\u200c\u200d]+|\p{{N}}{{1,3}}"
    rf"|{SIGNS}|{SPACES}"
)
FALCON = (r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]")
DEFAULT = (r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]")
