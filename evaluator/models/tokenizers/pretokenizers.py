"""How each `tokenizer.ggml.pre` name splits text before byte-pair merging, as in llama.cpp.

Every name has an entry, and an unknown name is an error, because a wrong split gives plausible but different ids.
Where llama.cpp differs from a family's published tokenizer (it distinguishes upper and lower case in ASCII only),
this module follows llama.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tokenizers import Regex, pre_tokenizers

from evaluator.models.tokenizers import patterns
from evaluator.models.tokenizers.first_tokens import cuts_after_words, cuts_at_line_ends, cuts_before_numbers
from evaluator.models.tokenizers.unicode_classes import with_known_characters


@dataclass(frozen=True)
class PreTokenization:
    """A way to split texts.

    Attributes:
        patterns: regular expressions, applied in order to the pieces of the one before; each isolates its matches.
        ignore_merges: whether words that are tokens skip the merges.
        adds_bos: whether a model adds BOS if its file does not state it.
        byte_level: whether words are merged in the byte-level alphabet; otherwise as they are written, with `▁` for
            spaces, and bytes have tokens of their own.
        whole_line_ends: whether line ends that follow each other are one token if there is one.
        insists_on_bos: whether a model adds BOS whatever its file states.
        safe_cuts: returns safe cuts of a text, as in `first_tokens`.
    """

    patterns: tuple[str, ...]
    ignore_merges: bool = False
    adds_bos: bool = False
    byte_level: bool = True
    whole_line_ends: bool = False
    insists_on_bos: bool = False
    safe_cuts: Callable[[str], Sequence[int]] = cuts_after_words

    def build(self) -> pre_tokenizers.PreTokenizer:
        """Return the splitter, whose words are in the byte-level alphabet if this is so."""
        splits = [
            pre_tokenizers.Split(Regex(with_known_characters(pattern)), behavior="isolated")
            for pattern in self.patterns
        ]
        if self.byte_level:
            splits.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
        return pre_tokenizers.Sequence(splits)


def _by(*splits: str) -> PreTokenization:
    return PreTokenization(splits)


PRE_TOKENIZERS: Mapping[str, PreTokenization] = {
    name: splitting
    for splitting, names in (
        (
            _by(patterns.GPT2),
            "gpt-2 mpt olmo jais phi-2 trillion granite-docling gigachat a.x-4.0 mellum modern-bert exaone4 "
            "jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe",
        ),
        (
            _by(r"\p{N}", patterns.GPT2),
            "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
        ),
        (
            PreTokenization((patterns.LLAMA3,), ignore_merges=True, adds_bos=True),
            "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
        ),
        (_by(patterns.LLAMA3), "dbrx smaug-bpe chatglm-bpe"),
        (PreTokenization((patterns.LLAMA3,), ignore_merges=True), "glm4 glm5"),
        (
            _by(patterns.QWEN2),
            "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2",
        ),
        (_by(patterns.QWEN35), "qwen35"),
        (PreTokenization((patterns.TEKKEN,), ignore_merges=True, adds_bos=True), "tekken"),
        (_by(patterns.GPT4O), "gpt-4o llama4 kanana2 talkie minimax-m2"),
        (_by(*patterns.TINY_AYA), "tiny_aya cohere2moe"),
        (_by(*patterns.DEEPSEEK3), "deepseek-v3 hunyuan-dense joyai-llm hy_v4"),
        (_by(*patterns.DEEPSEEK_LLM), "deepseek-llm"),
        (_by(*patterns.DEEPSEEK_CODER), "deepseek-coder"),
        (_by(*patterns.SPARK), "spark2_5"),
        (_by(*patterns.FALCON), "falcon"),
        (_by(*patterns.DEFAULT), "default"),
        (_by(patterns.BLOOM), "bloom gpt3-finnish poro-chat"),
        (_by(patterns.BLOOM, r"\p{N}"), "viking"),
        (_by(patterns.KIMI), "kimi-k2"),
        (_by(patterns.K2_HORIZON), "k2-horizon"),
        (_by(patterns.BAILING), "bailingmoe bailingmoe2 llada-moe"),
        (_by(patterns.SEED), "seed-coder"),
        (_by(patterns.UFAKZEKA), "ufakzeka"),
        (PreTokenization(patterns.MINICPM5, ignore_merges=True), "minicpm5"),
        (_by(patterns.EXAONE_MOE), "exaone-moe"),
        (_by(patterns.LINES, patterns.QWEN2), "laguna"),
        (_by(patterns.JAIS2), "jais-2"),
        (_by(*patterns.AFMOE), "afmoe"),
        (PreTokenization(patterns.YOUTU, ignore_merges=True), "youtu"),
        (PreTokenization((patterns.GRANITE_EMBEDDING,), ignore_merges=True), "granite-embed-multi-97m"),
        (PreTokenization(patterns.SUPERBPE, safe_cuts=cuts_before_numbers), "superbpe"),
        (PreTokenization(patterns.CHAMELEON, adds_bos=True), "chameleon"),
        (
            PreTokenization(
                (patterns.LINES,),
                byte_level=False,
                whole_line_ends=True,
                adds_bos=True,
                insists_on_bos=True,
                safe_cuts=cuts_at_line_ends,
            ),
            "gemma4 granite-embed-multi-311m",
        ),
        (
            PreTokenization((patterns.LINES,), byte_level=False, safe_cuts=cuts_at_line_ends),
            "sarvam-moe",
        ),
    )
    for name in names.split()
}
