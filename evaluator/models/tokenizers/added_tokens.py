"""Tokens that are taken out of a text before anything is split or merged."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from evaluator.models.model_file import NO_RULES, TextRules

_WHITE_SPACE = " \t\n\v\f\r"
#: Tokens that end a turn or a text: plain text in a text, whatever type their file gives them.
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
    }
)
#: Marks of code to be filled in: plain text too, unless the file has a key that names them.
_FILL_IN: Mapping[str, frozenset[str]] = {
    role: frozenset(tokens.split())
    for role, tokens in {
        "fim_pre": "<|fim_prefix|> <fim-prefix> <fim_prefix> <｜fim▁begin｜> <PRE> ▁<PRE> <|code_prefix|> <|prefix|>",
        "fim_suf": "<|fim_suffix|> <fim-suffix> <fim_suffix> <｜fim▁hole｜> <SUF> ▁<SUF> <|code_suffix|> <|suffix|>",
        "fim_mid": "<|fim_middle|> <fim-middle> <fim_middle> <｜fim▁end｜> <MID> ▁<MID> <|code_middle|> <|middle|>",
        "fim_pad": "<|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD]",
        "fim_rep": "<|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame>",
        "fim_sep": "<|file_sep|>",
    }.items()
}
#: What old files call three of these keys.
_OLD_ROLES = {"fim_pre": "prefix", "fim_suf": "suffix", "fim_mid": "middle"}
#: Marks of a message's parts, which are themselves wherever they stand.
_ALWAYS = frozenset(("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"))


def control_names(tokens: Sequence[str], keys: Container[str]) -> frozenset[str]:
    """The tokens that are control tokens by their name, whatever type their file gives them, by llama.cpp's rules.

    Args:
        tokens: the vocabulary.
        keys: the file's metadata keys.
    """
    unnamed = (
        names
        for role, names in _FILL_IN.items()
        if not any(f"tokenizer.ggml.{key}_token_id" in keys for key in (role, _OLD_ROLES.get(role, role)))
    )
    return _ENDS.union(*unnamed) - _parts_of_messages(tokens)


def added_tokens(tokens: Sequence[str], user_defined: Sequence[bool], keys: Container[str]) -> list[str]:
    """The tokens that are cut out of a vocabulary's texts, by llama.cpp's rules.

    Args:
        tokens: the vocabulary.
        user_defined: whether the file calls a token so; tokens beyond its end are not.
        keys: the file's metadata keys.
    """
    marked = {token for token, is_so in zip(tokens, user_defined, strict=False) if is_so and token}
    cut = _parts_of_messages(tokens) | (marked - control_names(tokens, keys))
    return [token for token in tokens if token in cut]


def _parts_of_messages(tokens: Sequence[str]) -> frozenset[str]:
    """Marks that are themselves in every text; where others end a turn, `<|end|>` ends a message only."""
    ends = set(tokens) & {"<|return|>", "<|flush|>", "<|call|>", "<|calls|>"}
    end_of_message = ends & {"<|call|>", "<|calls|>"} and ends & {"<|return|>", "<|flush|>"}
    return _ALWAYS | {"<|end|>"} if end_of_message else _ALWAYS


def fragments(text: str, added: Sequence[str], rules: TextRules = NO_RULES) -> list[tuple[str, bool]]:
    """The parts of `text` in order, each with whether it is a token; empty parts are left out.

    White space goes where `rules` let a token take it. The longest token (in bytes) is cut out first, wherever it
    stands, as llama.cpp does; a scan from the left would differ where tokens overlap.
    """
    parts = [(text, False)] if text else []
    for token in sorted(added, key=lambda token: -len(token.encode())):
        if token not in text:
            continue
        parts = [
            part
            for piece, is_token in parts
            for part in ([(piece, True)] if is_token else _cut(piece, token, rules))
            if part[0]
        ]
    return parts


def _cut(text: str, token: str, rules: TextRules) -> list[tuple[str, bool]]:
    pieces = text.split(token)
    if token in rules.strips_before:
        pieces[:-1] = [piece.rstrip(_WHITE_SPACE) for piece in pieces[:-1]]
    if token in rules.strips_after:
        pieces[1:] = [piece.lstrip(_WHITE_SPACE) for piece in pieces[1:]]
    first, *others = pieces
    return [(first, False), *(part for other in others for part in ((token, True), (other, False)))]
