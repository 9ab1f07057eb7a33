"""Added tokens, which are cut out of a text before it is split and merged."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from operator import add

from evaluator.models.text_rules import NO_RULES, TextRules

#: White space that tokens strip.
WHITE_SPACE = " \t\n\v\f\r"
#: Number of tokens from which looking for each of them takes longer than listing the text's pairs of characters.
_MANY = 64
#: Tokens that end a turn or a text: they are not cut out of texts, whatever type their file gives them.
_ENDS = frozenset(
    {
        "<|eot_id|>",
        "<|im_end|>",
        "<|end|>",
        "<|return|>",
        "<|call|>",
        "<|flush|>",
        "<|calls|>",
        "<end_of_turn>",
        "<|endoftext|>",
        "</s>",
        "<|eom_id|>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "[EOS]",
        "<|end_of_text|>",
        "<end_of_utterance>",
        "<eos>",
        "<turn|>",
        "<|tool_response>",
        "<｜end▁of▁sentence｜>",
        "[e~[",
        "<|ifm|im_end|>",
    }
)
#: Fill-in-the-middle tokens: not cut out either, unless the file has a key for them.
_FILL_IN: Mapping[str, frozenset[str]] = {
    role: frozenset(tokens.split())
    for role, tokens in {
        "fim_pre": "<|fim_prefix|> <fim-prefix> <fim_prefix> <｜fim▁begin｜> <PRE> ▁<PRE> <|code_prefix|> <|prefix|> "
        "<|plamo:fim_prefix|>",
        "fim_suf": "<|fim_suffix|> <fim-suffix> <fim_suffix> <｜fim▁hole｜> <SUF> ▁<SUF> <|code_suffix|> <|suffix|> "
        "<|plamo:fim_suffix|>",
        "fim_mid": "<|fim_middle|> <fim-middle> <fim_middle> <｜fim▁end｜> <MID> ▁<MID> <|code_middle|> <|middle|> "
        "<|plamo:fim_middle|>",
        "fim_pad": "<|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD]",
        "fim_rep": "<|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame>",
        "fim_sep": "<|file_sep|> <|plamo:file_separator|>",
    }.items()
}
#: Names of three of these keys in old files.
_OLD_ROLES = {"fim_pre": "prefix", "fim_suf": "suffix", "fim_mid": "middle"}
#: Tokens that mark the parts of a message; they are always cut out.
_ALWAYS = frozenset(("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"))


def control_names(tokens: Sequence[str], keys: Container[str]) -> frozenset[str]:
    """Return the tokens that llama.cpp treats as control tokens because of their names.

    Args:
        tokens: the vocabulary.
        keys: the file's metadata keys.
    """
    unnamed = (
        names
        for role, names in _FILL_IN.items()
        if not any(f"tokenizer.ggml.{key}_token_id" in keys for key in (role, _OLD_ROLES.get(role, role)))
    )
    return _ENDS.union(*unnamed) - _parts_of_messages(tokens) - plain_names(tokens)


def plain_names(tokens: Sequence[str]) -> frozenset[str]:
    """Return the tokens that are never cut out: `</s>` in Gemma 4's vocabulary, where it is a word like others."""
    return frozenset({"</s>"} if "<|tool_response>" in tokens else ())


def added_tokens(tokens: Sequence[str], user_defined: Sequence[bool], keys: Container[str]) -> list[str]:
    """Return the tokens that are cut out of texts, by llama.cpp's rules.

    Args:
        tokens: the vocabulary.
        user_defined: whether each token has the type user-defined; it may be shorter than the vocabulary.
        keys: the file's metadata keys.
    """
    marked = {token for token, is_so in zip(tokens, user_defined, strict=False) if is_so and token}
    cut = _parts_of_messages(tokens) | (marked - control_names(tokens, keys) - plain_names(tokens))
    return [token for token in tokens if token in cut]


def _parts_of_messages(tokens: Sequence[str]) -> frozenset[str]:
    """Return the tokens that mark parts of messages; `<|end|>` is one if other tokens end turns."""
    ends = set(tokens) & {"<|return|>", "<|flush|>", "<|call|>", "<|calls|>"}
    end_of_message = ends & {"<|call|>", "<|calls|>"} and ends & {"<|return|>", "<|flush|>"}
    return _ALWAYS | {"<|end|>"} if end_of_message else _ALWAYS


def fragments(text: str, added: Sequence[str], rules: TextRules = NO_RULES) -> list[tuple[str, bool]]:
    """Split `text` at added tokens; return the non-empty parts in order, each with whether it is a token.

    Tokens strip white space according to `rules`. As in llama.cpp, the longest token (in bytes) is cut out first,
    wherever it is; a scan from the left would give another result if tokens overlap.
    """
    parts = [(text, False)] if text else []
    for token in sorted(_contained(text, added), key=lambda token: -len(token.encode())):
        parts = [
            part
            for piece, is_token in parts
            for part in ([(piece, True)] if is_token else _cut(piece, token, rules))
            if part[0]
        ]
    return parts


def _contained(text: str, added: Sequence[str]) -> list[str]:
    """Return the tokens that `text` contains."""
    if (
        len(added) > _MANY
    ):  # tokens that begin with two characters that are nowhere together are quickly ruled out
        pairs = set(map(add, text, text[1:]))
        added = [token for token in added if len(token) == 1 or token[:2] in pairs]
    return [token for token in added if token in text]


def _cut(text: str, token: str, rules: TextRules) -> list[tuple[str, bool]]:
    pieces = text.split(token)
    if token in rules.strips_before:
        pieces[:-1] = [piece.rstrip(WHITE_SPACE) for piece in pieces[:-1]]
    if token in rules.strips_after:
        pieces[1:] = [piece.lstrip(WHITE_SPACE) for piece in pieces[1:]]
    first, *others = pieces
    return [(first, False), *(part for other in others for part in ((token, True), (other, False)))]
