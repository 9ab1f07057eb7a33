"""Find out whether a checkpoint adds BOS to texts, and which token it is; several files may state it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluator.models.checkpoint.tokenizer_json import steps_of, unsupported
from evaluator.models.json_file import JsonFile

_UNDERSTOOD = ("ByteLevel", "TemplateProcessing")
#: transformers' tokenizers that add BOS by default, whatever tokenizer.json says.
_ADDING = ("Llama", "CodeLlama", "Gemma", "Cohere")


@dataclass(frozen=True)
class Begin:
    """`token` is BOS, None if no file names it; `adds` is None if no file states whether it is added."""

    token: str | None
    adds: bool | None


def begin_of_texts(tokenizer: JsonFile, settings: JsonFile, names: JsonFile) -> Begin:
    """Return BOS by the settings, else by the template of tokenizer.json, else by the tokenizer's class.

    Args:
        tokenizer: tokenizer.json.
        settings: tokenizer_config.json.
        names: the file with the names of special tokens.

    Raises:
        SourceError: the template is not supported, or begins with another token than the named one.
    """
    templates = _templates(tokenizer)
    first = next((name for single in templates if (name := _first(tokenizer, single))), None)
    named = content_of(names.values.get("bos_token")) or content_of(names.values.get("cls_token"))
    adds = settings.values.get("add_bos_token")
    if isinstance(adds, bool):
        return Begin(named or first, adds)
    if first and named and first != named:
        raise names.error("bos_token", named, f"{first}, with which {tokenizer.path.name} begins texts")
    if first:
        return Begin(first, True)
    if str(settings.values.get("tokenizer_class")).partition("Tokenizer")[0] in _ADDING:
        return Begin(named, True)
    return Begin(named, False if templates else None)


def content_of(token: Any) -> str | None:
    """Return the text of a token that is given as a string or as an object."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _templates(tokenizer: JsonFile) -> list[list[Any]]:
    """Return the items of each template for a single text."""
    steps = steps_of(tokenizer, "post_processor", "processors")
    if any(step.get("type") not in _UNDERSTOOD for step in steps):
        raise unsupported(tokenizer, "post_processor", "a template")
    return [JsonFile(tokenizer.path, step).items("single") for step in steps if "single" in step]


def _first(tokenizer: JsonFile, single: list[Any]) -> str | None:
    """Return the special token before the text, if there is one."""
    match single:
        case [{"SpecialToken": _}, {"SpecialToken": _}, *_]:
            raise unsupported(tokenizer, "post_processor", "a template with one token before the text")
        case [{"SpecialToken": {"id": str(name)}}, _, *_]:
            return name
    return None
