"""From a checkpoint's tokenizer files to GGUF's tokenizer metadata, as llama.cpp's converter writes them.

`tokenizer.model` (SentencePiece) decides where it is there; else `tokenizer.json`, byte-level or with bytes as
fallback. The tables come out as in published GGUF files, so that ids, and digests of the vocabulary, agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import TokenType

from evaluator.errors import SourceError
from evaluator.sources.json_file import JsonFile, read_json, read_json_if_there
from evaluator.sources.metadata_values import Typed, boolean, f32_array, i32_array, string, strings, u32
from evaluator.sources.recognition import recognize
from evaluator.sources.sentencepiece_model import read_pieces

SENTENCEPIECE, TOKENIZER, TOKENIZER_CONFIG = "tokenizer.model", "tokenizer.json", "tokenizer_config.json"
CHAT_TEMPLATE, ADDED_TOKENS = "chat_template.jinja", "added_tokens.json"
TOKENIZER_FILES = (SENTENCEPIECE, TOKENIZER, TOKENIZER_CONFIG, CHAT_TEMPLATE, ADDED_TOKENS)

#: Scores that the converter gives to tokens without one of their own, and to ids without a token.
_NO_SCORE, _NO_TOKEN_SCORE = -1000.0, -10000.0
#: Looks like a control token whatever its file says of it.
_SPECIAL_LOOK = re.compile(r"<\|.*\|>|<｜.*｜>|<unused.*>|<pad>|<mask>|<2mass>|\[@BOS@\]", re.DOTALL)
_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_SPACE, _BYTE_LEVEL_SPACE = "▁", "Ġ"
_ROLES = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}


@dataclass
class _Table:
    """Tokens by id, growing; ids without a token are named `[PADi]`, as the converter does."""

    tokens: list[str]
    scores: list[float]
    types: list[int]

    @classmethod
    def of_size(cls, size: int) -> _Table:
        names = [f"[PAD{index}]" for index in range(size)]
        return cls(names, [_NO_TOKEN_SCORE] * size, [int(TokenType.UNUSED)] * size)

    def put(self, index: int, token: str, score: float, kind: int) -> None:
        """Set a token; an id beyond the vocabulary is left out, as the converter does."""
        if 0 <= index < len(self.tokens):
            self.tokens[index], self.scores[index], self.types[index] = token, score, int(kind)


def vocabulary(folder: Path, config: JsonFile) -> dict[str, Typed]:
    """All `tokenizer.*` keys.

    Raises:
        SourceError: a file is missing or damaged, or the kind of tokenizer is not known.
    """
    settings = read_json_if_there(folder / TOKENIZER_CONFIG)
    size = config.count("vocab_size")
    if (folder / SENTENCEPIECE).is_file():
        tokenizer = read_json_if_there(folder / TOKENIZER)
        keys = _from_sentencepiece(folder, settings, size)
    else:
        tokenizer = read_json(folder / TOKENIZER)
        keys = _from_tokenizer_json(tokenizer, settings, size)
    keys |= _special_ids(tokenizer, settings, config, size) | _additions(tokenizer, settings)
    template = _chat_template(folder, settings)
    return keys | ({"tokenizer.chat_template": string(template)} if template else {})


def _from_sentencepiece(folder: Path, settings: JsonFile, size: int) -> dict[str, Typed]:
    table = _Table.of_size(size)
    for index, piece in enumerate(read_pieces(folder / SENTENCEPIECE)):
        # What SentencePiece calls user-defined counts only if the files beside it say so too.
        kind = TokenType.NORMAL if piece.kind == TokenType.USER_DEFINED else piece.kind
        table.put(index, piece.text, piece.score, kind)
    for token, index in read_json_if_there(folder / ADDED_TOKENS).values.items():
        if isinstance(index, int):
            table.put(index, token, _NO_SCORE, TokenType.USER_DEFINED)
    for name, entry in settings.within("added_tokens_decoder").values.items():
        token, special = _added(settings, entry)
        control = special or _looks_special(token)
        kind = TokenType.CONTROL if control else TokenType.USER_DEFINED
        if name.isdecimal():
            table.put(int(name), token if control else token.replace(_SPACE, " "), _NO_SCORE, kind)
    return _sentencepiece_keys(table, settings)


def _from_tokenizer_json(tokenizer: JsonFile, settings: JsonFile, size: int) -> dict[str, Typed]:
    model = tokenizer.within("model")
    if model.values.get("type") != "BPE":
        raise model.error("model.type", model.values.get("type"), "BPE: other tokenizers are not supported")
    entries = {token: index for token, index in model.within("vocab").values.items() if type(index) is int}
    table = _Table.of_size(size)
    if model.values.get("byte_fallback"):
        _fill_with_fallback(table, tokenizer, entries)
        return _sentencepiece_keys(table, settings)
    _fill_byte_level(table, tokenizer, entries)
    return {
        "tokenizer.ggml.model": string("gpt2"),
        "tokenizer.ggml.pre": string(_recognized(tokenizer)),
        "tokenizer.ggml.tokens": strings(table.tokens),
        "tokenizer.ggml.token_type": i32_array(table.types),
        "tokenizer.ggml.merges": strings(_merges(model)),
    }


def _fill_byte_level(table: _Table, tokenizer: JsonFile, entries: Mapping[str, int]) -> None:
    for token, index in entries.items():
        table.put(index, token, 0.0, TokenType.NORMAL)
    for index, token, special in _added_tokens(tokenizer):
        control = special or _looks_special(token)
        kind = TokenType.CONTROL if control else TokenType.USER_DEFINED
        table.put(index, token if control else token.replace(_SPACE, " "), 0.0, kind)


def _fill_with_fallback(table: _Table, tokenizer: JsonFile, entries: Mapping[str, int]) -> None:
    """Equal scores for all, as in the published files: the leftmost pair merges first."""
    for token, index in entries.items():
        kind = TokenType.BYTE if _BYTE_TOKEN.fullmatch(token) else TokenType.NORMAL
        table.put(index, token, _NO_SCORE, kind)
    for index, token, special in _added_tokens(tokenizer):
        if special or token not in entries:
            kind = TokenType.CONTROL if special else TokenType.USER_DEFINED
            table.put(index, token, _NO_SCORE, kind)


def _sentencepiece_keys(table: _Table, settings: JsonFile) -> dict[str, Typed]:
    keys = {
        "tokenizer.ggml.model": string("llama"),
        "tokenizer.ggml.pre": string("default"),
        "tokenizer.ggml.tokens": strings(table.tokens),
        "tokenizer.ggml.scores": f32_array(table.scores),
        "tokenizer.ggml.token_type": i32_array(table.types),
    }
    prefix = settings.values.get("add_prefix_space")
    return keys | ({"tokenizer.ggml.add_space_prefix": boolean(prefix)} if isinstance(prefix, bool) else {})


def _recognized(tokenizer: JsonFile) -> str:
    """`tokenizer.ggml.pre`, by what the file says of splitting."""
    model = tokenizer.within("model")
    name = recognize(
        tokenizer.values.get("pre_tokenizer"), ignore_merges=bool(model.values.get("ignore_merges"))
    )
    if name is None:
        raise SourceError(
            tokenizer.path, "its pre-tokenizer is none of the known ones, so ids would be a guess"
        )
    return name


def _merges(model: JsonFile) -> list[str]:
    """Merge rules in GGUF's form: two tokens with a space between; spaces within tokens as byte-level writes them."""
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


def _added_tokens(tokenizer: JsonFile) -> Iterable[tuple[int, str, bool]]:
    """Id, text and specialness of the tokens that are not made by merges."""
    for entry in tokenizer.items("added_tokens"):
        token, special = _added(tokenizer, entry)
        if not isinstance(entry.get("id"), int):
            raise tokenizer.error("id of an added token", entry.get("id"), "a whole number")
        yield entry["id"], token, special


def _added(file: JsonFile, entry: Any) -> tuple[str, bool]:
    if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
        raise file.error("an added token", entry, "an object with its content")
    return entry["content"], bool(entry.get("special"))


def _looks_special(token: str) -> bool:
    return _SPECIAL_LOOK.fullmatch(token) is not None


def _special_ids(tokenizer: JsonFile, settings: JsonFile, config: JsonFile, size: int) -> dict[str, Typed]:
    """Ids of BOS, EOS, unknown and padding: by name from the tokenizer's settings, else from the configuration."""
    by_text = {token: index for index, token, _ in reversed(list(_added_tokens(tokenizer)))}
    keys: dict[str, Typed] = {}
    for short, long in _ROLES.items():
        index = by_text.get(_content(settings.values.get(f"{short}_token")) or "")
        if index is None:
            index = config.values.get(f"{short}_token_id")
        if type(index) is int and 0 <= index < size:
            keys[f"tokenizer.ggml.{long}_token_id"] = u32(index)
    return keys


def _content(token: Any) -> str | None:
    """The text of a token that is given as a string or as an object."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _additions(tokenizer: JsonFile, settings: JsonFile) -> dict[str, Typed]:
    """Whether BOS is added: as the settings say, else as the post-processing template does."""
    adds = settings.values.get("add_bos_token")
    if not isinstance(adds, bool):
        first = _first_of_template(tokenizer)
        adds = None if first is None else first == _content(settings.values.get("bos_token"))
    return {} if adds is None else {"tokenizer.ggml.add_bos_token": boolean(adds)}


def _first_of_template(tokenizer: JsonFile) -> str | None:
    """The special token that begins every text, if one does."""
    processor = tokenizer.within("post_processor")
    for step in processor.items("processors") or [processor.values]:
        match step:
            case {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": str(name)}}, _, *_]}:
                return name
    return None


def _chat_template(folder: Path, settings: JsonFile) -> str | None:
    """The default chat template: from the settings, else from the file beside them."""
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
