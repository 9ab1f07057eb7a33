"""Read the settings of a tokenizer.json that affect token ids; unsupported ones are an error.

GGUF has no keys for most of them; llama.cpp has fixed rules per family. With other settings the GGUF file would
have another tokenizer.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tokenizers import pre_tokenizers

from evaluator.models.json_file import JsonFile
from evaluator.models.text_rules import TextRules
from evaluator.support.errors import SourceError

_SPACE = "▁"
_COMPOSED = "NFC"
#: Settings of a byte-pair model that change merging → values without effect.
_PLAIN = {
    "dropout": (None, 0, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
}
_ESCAPE = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
_PREPEND = {"type": "Prepend", "prepend": _SPACE}


@dataclass(frozen=True)
class AddedToken:
    """A token that is cut out of a text before merging, with the white space before or after it if it strips it."""

    index: int
    text: str
    special: bool
    strips_before: bool
    strips_after: bool


def added_tokens(tokenizer: JsonFile, settings: JsonFile, further: JsonFile) -> list[AddedToken]:
    """Return the added tokens that the files of a checkpoint list, each id once.

    Args:
        tokenizer: tokenizer.json.
        settings: tokenizer_config.json, which takes precedence.
        further: added_tokens.json, which has only texts and ids and the lowest precedence.

    Raises:
        SourceError: an entry is invalid, or a token matches whole words only.
    """
    listed = {}
    for text, index in further.values.items():
        if type(index) is int:
            listed[index] = AddedToken(index, text, False, False, False)
    for entry in tokenizer.items("added_tokens"):
        index = entry.get("id") if isinstance(entry, dict) else None
        token = _added(tokenizer, entry, index if type(index) is int else -1)
        if token.index < 0:
            raise tokenizer.error("id of an added token", index, "a whole number")
        listed[token.index] = token
    return list((listed | {token.index: token for token in listed_tokens(settings)}).values())


def listed_tokens(settings: JsonFile) -> list[AddedToken]:
    """Return the added tokens that tokenizer_config.json lists.

    Raises:
        SourceError: an entry is invalid, or a token matches whole words only.
    """
    entries = settings.within("added_tokens_decoder").values.items()
    return [_added(settings, entry, int(name)) for name, entry in entries if name.isdecimal()]


def _added(file: JsonFile, entry: Any, index: int) -> AddedToken:
    if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
        raise file.error("an added token", entry, "an object with its content")
    if entry.get("single_word"):
        raise file.error("single_word of an added token", True, "false: tokens are found within words, too")
    flags = (bool(entry.get(flag)) for flag in ("special", "lstrip", "rstrip"))
    return AddedToken(index, entry["content"], *flags)


def with_strips(rules: TextRules, tokens: Iterable[AddedToken]) -> TextRules:
    """Return `rules` with the added tokens that strip white space."""
    listed = list(tokens)
    before = frozenset(token.text for token in listed if token.strips_before)
    after = frozenset(token.text for token in listed if token.strips_after)
    return replace(rules, strips_before=before, strips_after=after)


def check_merging(model: JsonFile) -> None:
    """Check that a byte-pair model merges like GGUF's models.

    Raises:
        SourceError: it uses dropout, or prefixes or suffixes for parts of words.
    """
    for key, plain in _PLAIN.items():
        value = model.values.get(key)
        if value not in plain:
            raise model.error(f"model.{key}", value, "absent: such merging is not supported")


def composes_text(tokenizer: JsonFile) -> bool:
    """Return whether a byte-level tokenizer first normalizes texts to Unicode's composed form (NFC).

    Raises:
        SourceError: it normalizes texts in another way.
    """
    steps = steps_of(tokenizer, "normalizer", "normalizers")
    if any(step != {"type": _COMPOSED} for step in steps):
        raise unsupported(tokenizer, "normalizer", f"{_COMPOSED} or none")
    return bool(steps)


def check_alphabet(model: JsonFile, entries: Container[str]) -> None:
    """Check that a byte-level model with an unknown token never uses it.

    Raises:
        SourceError: a byte has no token.
    """
    unknown = model.values.get("unk_token")
    if unknown is not None and not all(symbol in entries for symbol in pre_tokenizers.ByteLevel.alphabet()):
        raise model.error("model.unk_token", unknown, "needed: every byte has to have a token")


def space_prefix(tokenizer: JsonFile) -> bool:
    """Return whether a tokenizer with byte fallback, which writes spaces as `▁`, puts one before texts.

    Raises:
        SourceError: it normalizes or splits texts in another way.
    """
    normalizer = steps_of(tokenizer, "normalizer", "normalizers")
    splitter = steps_of(tokenizer, "pre_tokenizer", "pretokenizers")
    match normalizer, splitter:
        case [[first, second], []] if (first, second) == (_PREPEND, _ESCAPE):
            return True
        case [[only], []] if only == _ESCAPE:
            return False
        # Splitting at spaces has no effect: the normalizer has replaced all of them.
        case [[only], [{"type": "Split", "pattern": {"String": " "}}]] if only == _ESCAPE:
            return False
        case [[], [{"type": "Metaspace", "replacement": "▁", "split": False, **settings}]]:
            return bool(settings.get("prepend_scheme", "always") != "never")
    raise unsupported(tokenizer, "normalizer and pre_tokenizer", "SentencePiece's")


def steps_of(tokenizer: JsonFile, what: str, several: str) -> list[dict[str, Any]]:
    """Return the steps at the key `what` in order; `several` is the key of a sequence's list of steps."""

    def flat(step: JsonFile) -> Iterator[dict[str, Any]]:
        if step.values.get("type") != "Sequence":
            yield dict(step.values)
            return
        for part in step.items(several):
            if not isinstance(part, dict):
                raise step.error(f"a step of {what}", part, "an object")
            yield from flat(JsonFile(step.path, part))

    return list(flat(tokenizer.within(what))) if tokenizer.values.get(what) else []


def unsupported(tokenizer: JsonFile, what: str, supported: str) -> SourceError:
    """Return the error for keys, joined by " and ", that hold something other than what is `supported`."""
    named = {key: tokenizer.values.get(key) for key in what.split(" and ")}
    return SourceError(tokenizer.path, f"{what}: only {supported} is supported, not {str(named)[:200]}")
