"""Convert a checkpoint's tokenizer files to GGUF's tokenizer metadata, like llama.cpp's converter.

`tokenizer.model` (SentencePiece) is used if it exists, else `tokenizer.json`, which is byte-level or has byte
fallback. The tables are equal to those of published GGUF files, so that token ids and vocabulary digests agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gguf import TokenType

from evaluator.models.checkpoint.begin_of_texts import Begin, begin_of_texts, content_of
from evaluator.models.checkpoint.tokenizer_json import (
    AddedToken,
    added_tokens,
    check_alphabet,
    check_merging,
    composes_text,
    listed_tokens,
    space_prefix,
    unsupported,
    with_strips,
)
from evaluator.models.json_file import JsonFile, read_json, read_json_if_there
from evaluator.models.metadata_values import (
    Typed,
    boolean,
    f32_array,
    i32_array,
    string,
    strings,
    u32,
)
from evaluator.models.text_rules import TextRules
from evaluator.models.tokenizers.recognition import recognize
from evaluator.models.tokenizers.sentencepiece_model import read_sentencepiece
from evaluator.support.errors import SourceError

SENTENCEPIECE, TOKENIZER, TOKENIZER_CONFIG = "tokenizer.model", "tokenizer.json", "tokenizer_config.json"
CHAT_TEMPLATE, ADDED_TOKENS, SPECIAL_TOKENS = (
    "chat_template.jinja",
    "added_tokens.json",
    "special_tokens_map.json",
)
TOKENIZER_FILES = (SENTENCEPIECE, TOKENIZER, TOKENIZER_CONFIG, CHAT_TEMPLATE, ADDED_TOKENS, SPECIAL_TOKENS)

#: The converter's scores of tokens without a score, and of ids without a token.
_NO_SCORE, _NO_TOKEN_SCORE = -1000.0, -10000.0
#: Tokens of this form are control tokens, whatever type their file gives them.
_SPECIAL_LOOK = re.compile(r"<\|.*\|>|<｜.*｜>|<unused.*>|<pad>|<mask>|<2mass>|\[@BOS@\]", re.DOTALL)
_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")
#: Gemma 4's marks of channels and tools, which the converter makes tokens that texts may contain.
_SHOWN = frozenset(
    (
        "<|channel>",
        "<channel|>",
        "<|tool_call>",
        "<tool_call|>",
        "<|tool_response>",
        "<tool_response|>",
        '<|"|>',
    )
)
_SPACE, _BYTE_LEVEL_SPACE = "▁", "Ġ"
_TOKENS, _BOS = "tokenizer.ggml.tokens", "tokenizer.ggml.bos_token_id"
_ROLES = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}


@dataclass
class _Table:
    """Tables of tokens, scores and types by id; ids without a token are named `[PADi]`, as by the converter."""

    tokens: list[str]
    scores: list[float]
    types: list[int]

    @classmethod
    def of_size(cls, size: int) -> _Table:
        names = [f"[PAD{index}]" for index in range(size)]
        return cls(names, [_NO_TOKEN_SCORE] * size, [int(TokenType.UNUSED)] * size)

    def put(self, index: int, token: str, score: float, kind: int) -> None:
        """Set a token; an id beyond the vocabulary is ignored, as by the converter."""
        if 0 <= index < len(self.tokens):
            self.tokens[index], self.scores[index], self.types[index] = token, score, int(kind)


def vocabulary(folder: Path, config: JsonFile) -> tuple[dict[str, Typed], TextRules]:
    """Return all `tokenizer.*` keys, and the rules that GGUF has no keys for.

    Raises:
        SourceError: a file is missing or damaged, or has an unsupported setting.
    """
    settings, further = (read_json_if_there(folder / name) for name in (TOKENIZER_CONFIG, ADDED_TOKENS))
    size = config.count("vocab_size")
    if (folder / SENTENCEPIECE).is_file():
        tokenizer = read_json_if_there(folder / TOKENIZER)
        added = added_tokens(tokenizer, settings, further)
        keys, rules = _from_sentencepiece(folder, settings, further, size), TextRules(fuses_unknown=True)
    else:
        tokenizer = read_json(folder / TOKENIZER)
        added = added_tokens(tokenizer, settings, further)
        gemma4 = str(config.values.get("model_type")).startswith("gemma4")
        keys, rules = _from_tokenizer_json(tokenizer, settings, added, size, gemma4=gemma4)
    named = settings.values.keys() & {f"{role}_token" for role in _ROLES}
    names = settings if named else read_json_if_there(folder / SPECIAL_TOKENS)
    begins = begin_of_texts(tokenizer, settings, names)
    keys |= _special_ids(begins, names, config, added, keys)
    keys |= _additions(begins, keys, settings)
    template = _chat_template(folder, settings)
    if template:
        keys["tokenizer.chat_template"] = string(template)
    return keys, with_strips(rules, added)


def _from_sentencepiece(folder: Path, settings: JsonFile, further: JsonFile, size: int) -> dict[str, Typed]:
    table = _Table.of_size(size)
    model = read_sentencepiece(folder / SENTENCEPIECE)
    for index, piece in enumerate(model.pieces):
        # Like the converter: a token is user-defined only if added_tokens.json or the settings list it.
        kind = TokenType.NORMAL if piece.kind == TokenType.USER_DEFINED else piece.kind
        table.put(index, piece.text, piece.score, kind)
    for text, number in further.values.items():
        if isinstance(number, int):
            table.put(number, text, _NO_SCORE, TokenType.USER_DEFINED)
    for token in listed_tokens(settings):
        _put_added(table, token, _NO_SCORE)
    bos = {} if model.bos_id is None else {_BOS: u32(model.bos_id)}
    return bos | _sentencepiece_keys(table, settings, model.space_prefix)


def _from_tokenizer_json(
    tokenizer: JsonFile, settings: JsonFile, added: Sequence[AddedToken], size: int, *, gemma4: bool
) -> tuple[dict[str, Typed], TextRules]:
    model = tokenizer.within("model")
    if model.values.get("type") != "BPE":
        raise model.error("model.type", model.values.get("type"), "BPE: other tokenizers are not supported")
    check_merging(model)
    entries = {token: index for token, index in model.within("vocab").values.items() if type(index) is int}
    table = _Table.of_size(size)
    if model.values.get("byte_fallback"):
        _fill_with_fallback(table, added, entries)
        if gemma4:
            return _gemma4_keys(table, tokenizer), TextRules()
        rules = TextRules(fuses_unknown=bool(model.values.get("fuse_unk")), merges_in_order=False)
        return _sentencepiece_keys(table, settings, space_prefix(tokenizer)), rules
    check_alphabet(model, entries)
    _check_no_prefix(tokenizer, settings)
    for token, index in entries.items():
        table.put(index, token, 0.0, TokenType.NORMAL)
    for item in added:
        _put_added(table, item, 0.0)
    keys = {
        "tokenizer.ggml.model": string("gpt2"),
        **_recognized(tokenizer),
        _TOKENS: strings(table.tokens),
        "tokenizer.ggml.token_type": i32_array(table.types),
        "tokenizer.ggml.merges": strings(_merges(model)),
    }
    return keys, TextRules(composed=composes_text(tokenizer))


def _put_added(table: _Table, token: AddedToken, score: float) -> None:
    control = token.special or _SPECIAL_LOOK.fullmatch(token.text) is not None
    kind = TokenType.CONTROL if control else TokenType.USER_DEFINED
    table.put(token.index, token.text if control else token.text.replace(_SPACE, " "), score, kind)


def _fill_with_fallback(table: _Table, added: Iterable[AddedToken], entries: Mapping[str, int]) -> None:
    """Fill the table with equal scores, as in the published files: the leftmost pair merges first."""
    for token, index in entries.items():
        kind = TokenType.BYTE if _BYTE_TOKEN.fullmatch(token) else TokenType.NORMAL
        table.put(index, token, _NO_SCORE, kind)
    for item in added:
        if item.special or item.text not in entries:
            kind = TokenType.CONTROL if item.special else TokenType.USER_DEFINED
            table.put(item.index, item.text, _NO_SCORE, kind)


def _gemma4_keys(table: _Table, tokenizer: JsonFile) -> dict[str, Typed]:
    """Return the keys of Gemma 4, which alone of the families with byte fallback keeps its merges in GGUF."""
    if space_prefix(tokenizer):
        raise unsupported(tokenizer, "normalizer and pre_tokenizer", "Gemma 4's")
    types = [
        int(TokenType.USER_DEFINED) if token in _SHOWN else kind
        for token, kind in zip(table.tokens, table.types, strict=True)
    ]
    return {
        "tokenizer.ggml.model": string("gemma4"),
        _TOKENS: strings(table.tokens),
        "tokenizer.ggml.scores": f32_array(table.scores),
        "tokenizer.ggml.token_type": i32_array(types),
        "tokenizer.ggml.merges": strings(_merges(tokenizer.within("model"))),
        "tokenizer.ggml.add_space_prefix": boolean(False),
    }


def _sentencepiece_keys(table: _Table, settings: JsonFile, prefix: bool | None) -> dict[str, Typed]:
    """Return the keys of a table; the settings' `add_prefix_space` takes precedence over `prefix`."""
    setting = settings.values.get("add_prefix_space")
    prefix = setting if isinstance(setting, bool) else prefix
    keys = {
        "tokenizer.ggml.model": string("llama"),
        "tokenizer.ggml.pre": string("default"),
        _TOKENS: strings(table.tokens),
        "tokenizer.ggml.scores": f32_array(table.scores),
        "tokenizer.ggml.token_type": i32_array(table.types),
    }
    return keys | ({} if prefix is None else {"tokenizer.ggml.add_space_prefix": boolean(prefix)})


def _check_no_prefix(tokenizer: JsonFile, settings: JsonFile) -> None:
    """Check that transformers puts no space before byte-level texts, which it can do if the splitter is one step."""
    single = tokenizer.within("pre_tokenizer").values.get("type") == "ByteLevel"
    if single and settings.values.get("add_prefix_space"):
        raise settings.error(
            "add_prefix_space", True, "false: llama.cpp puts no space before byte-level texts"
        )


def _recognized(tokenizer: JsonFile) -> dict[str, Typed]:
    """Return `tokenizer.ggml.pre`, recognized from the file's pre-tokenizer; nothing if that is not known."""
    model = tokenizer.within("model")
    name = recognize(
        tokenizer.values.get("pre_tokenizer"), ignore_merges=bool(model.values.get("ignore_merges"))
    )
    return {} if name is None else {"tokenizer.ggml.pre": string(name)}


def _merges(model: JsonFile) -> list[str]:
    """Return the merges in GGUF's form: two tokens separated by a space; spaces within tokens become `Ġ`."""
    lines: list[str] = []
    for merge in model.items("merges"):
        match merge:
            case str(line):
                lines.append(line)
            case [str(left), str(right)]:
                lines.append(" ".join(part.replace(" ", _BYTE_LEVEL_SPACE) for part in (left, right)))
            case _:
                raise model.error("a merge", merge, "a pair of tokens")
    return lines


def _special_ids(
    begins: Begin, names: JsonFile, config: JsonFile, added: Sequence[AddedToken], keys: Mapping[str, Typed]
) -> dict[str, Typed]:
    """Return the ids of BOS, EOS, unknown and padding, by the tokenizer files' names or the configuration's ids."""
    tokens = keys[_TOKENS][0]
    by_text = {token: index for index, token in reversed(list(enumerate(tokens)))}
    by_text |= {token.text: token.index for token in reversed(added)}
    special: dict[str, Typed] = {}
    for short, long in _ROLES.items():
        name = begins.token if short == "bos" else content_of(names.values.get(f"{short}_token"))
        index = by_text.get(name or "")
        if index is None:
            index = config.values.get(f"{short}_token_id")
        if type(index) is int and 0 <= index < len(tokens):
            special[f"tokenizer.ggml.{long}_token_id"] = u32(index)
    return special


def _additions(begins: Begin, keys: Mapping[str, Typed], settings: JsonFile) -> dict[str, Typed]:
    """Return the key for whether BOS is added, if the files state it or name no BOS."""
    if begins.adds is None:
        return {} if _BOS in keys else {"tokenizer.ggml.add_bos_token": boolean(False)}
    if begins.adds and _BOS not in keys:
        raise settings.error("bos_token", begins.token, "a known token, but BOS is added to every text")
    return {"tokenizer.ggml.add_bos_token": boolean(begins.adds)}


def _chat_template(folder: Path, settings: JsonFile) -> str | None:
    """Return the default chat template, from the settings or the file chat_template.jinja."""
    template = settings.values.get("chat_template")
    if isinstance(template, list):
        named = {item.get("name"): item.get("template") for item in template if isinstance(item, dict)}
        template = named.get("default")
    path = folder / CHAT_TEMPLATE
    if template is None and path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(path, f"cannot be read: {error}") from error
    return template if isinstance(template, str) else None
