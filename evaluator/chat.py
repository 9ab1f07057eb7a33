"""Conversations as the model itself would see them: rendered through its own chat template.

A template is a program from a file that nobody vouched for, so it runs in a sandbox.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
import numpy as np
import numpy.typing as npt
from gguf import TokenType
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from evaluator.errors import RequestError, SourceError
from evaluator.sources.cut_out import fragments
from evaluator.sources.model_file import ModelFile
from evaluator.sources.tokenizer import TextTokenizer

_TEMPLATE = "tokenizer.chat_template"
#: Templates that write the date get this one, so that a conversation is the same text every day.
_TODAY = datetime(2024, 7, 26)
_CONTROL = (TokenType.CONTROL, TokenType.USER_DEFINED)


def render_chats(path: Path, content: str, model: ModelFile) -> str:
    """All conversations of a JSON-lines file, one after another, as the model's template writes them.

    Args:
        path: the file, for messages.
        content: a conversation per line: a list of messages, or an object with a list `messages`.
        model: whose metadata hold the template.

    Raises:
        RequestError: the model has no template, a line is not a conversation, or the template refuses it.
    """
    source = model.metadata.get(_TEMPLATE)
    if not isinstance(source, str):
        raise RequestError(f"{path}: {model.name} has no chat template to render conversations with")
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _TODAY.strftime}
    names = {f"{role}_token": _token(model, role) for role in ("bos", "eos")}
    chats: list[str] = []
    for number, line in enumerate(content.split("\n"), 1):  # other line ends may stand in JSON texts
        if not line.strip():
            continue
        messages = _messages(path, number, line)
        try:
            template = environment.from_string(source)
            chats.append(template.render(messages=messages, add_generation_prompt=False, **names))
            chats[-1].encode()
        except UnicodeEncodeError:
            raise RequestError(f"{path}: line {number} holds half a character (a lone surrogate)") from None
        except (
            jinja2.TemplateError,
            TypeError,
            ValueError,
            ArithmeticError,
            LookupError,
            MemoryError,
            RecursionError,
        ) as error:
            reason = str(error) or type(error).__name__
            raise RequestError(f"{path}: line {number}: the model's chat template fails: {reason}") from error
    return "".join(chats)


def control_tokens(model: ModelFile) -> dict[str, int]:
    """Tokens that a rendered conversation writes out by name, with their ids.

    Raises:
        SourceError: the model's vocabulary is damaged.
    """
    tokens = _table(model, "tokens")
    kinds = enumerate(zip(tokens, _table(model, "token_type"), strict=False))
    return {token: index for index, (token, kind) in kinds if kind in _CONTROL and token}


def encode_with_control(
    tokenizer: TextTokenizer, content: str, control: Mapping[str, int]
) -> npt.NDArray[np.int32]:
    """Token ids, int32 [n]: control tokens are themselves, what lies between them is text of its own."""
    parts = [
        np.asarray([control[part]], np.int32) if is_token else tokenizer.encode(part)
        for part, is_token in fragments(content, list(control))
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.int32)


def _table(model: ModelFile, name: str) -> list[Any] | npt.NDArray[Any]:
    values = model.require(f"tokenizer.ggml.{name}")
    if not isinstance(values, (list, np.ndarray)):
        raise SourceError(model.path, f"metadata key tokenizer.ggml.{name} is not an array")
    return values


def _messages(path: Path, number: int, line: str) -> list[Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path}: line {number} is not JSON") from error
    messages = value.get("messages") if isinstance(value, dict) else value
    if not isinstance(messages, list) or not all(isinstance(item, dict) for item in messages) or not messages:
        raise RequestError(f"{path}: line {number} is neither a list of messages nor an object with one")
    return messages


def _token(model: ModelFile, role: str) -> str:
    index, tokens = model.single(f"tokenizer.ggml.{role}_token_id"), _table(model, "tokens")
    return str(tokens[index]) if isinstance(index, int) and 0 <= index < len(tokens) else ""


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, indent: int | None = None) -> str:
    """Plain JSON: the engine's own filter escapes for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)
