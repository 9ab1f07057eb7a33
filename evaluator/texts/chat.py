"""Render conversations with the model's own chat template, as the model would see them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import TokenType

from evaluator.models.model_file import ModelFile
from evaluator.models.tokenizers.added_tokens import control_names, fragments, plain_names
from evaluator.models.tokenizers.tokenizer import TextTokenizer
from evaluator.support.errors import RequestError, SourceError
from evaluator.texts.chat_content import refusal
from evaluator.texts.chat_template import RenderingError, render_apart

_TEMPLATE = "tokenizer.chat_template"
#: Name of a special token in templates → its name in the metadata.
_SPECIAL_TOKENS = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
#: Keys of a line that are passed to the template.
_TEMPLATE_KEYS = ("messages", "tools", "documents")
_CONTROL = (int(TokenType.CONTROL), int(TokenType.USER_DEFINED), int(TokenType.UNKNOWN))


def render_chats(path: Path, content: str, model: ModelFile) -> str:
    """Return all conversations of a JSON-lines file as text, one after another.

    Args:
        path: the file, for messages.
        content: a conversation per line: a list of messages, or an object with a list `messages` and, if they call
            tools, a list `tools`.
        model: the model whose metadata hold the template.

    Raises:
        RequestError: the model has no template, a line is not a conversation, or the template rejects it.
    """
    source = model.metadata.get(_TEMPLATE)
    if not isinstance(source, str):
        raise RequestError(f"{path}: {model.name} has no chat template to render conversations with")
    # Not splitlines(): JSON strings may contain the other line separators.
    lines = [(number, line) for number, line in enumerate(content.split("\n"), 1) if line.strip()]
    chats = [_chat(path, number, line) for number, line in lines]
    names = {f"{role}_token": _token(model, key) for role, key in _SPECIAL_TOKENS.items()}
    try:
        texts = render_apart(source, names, chats)
    except RenderingError as error:
        where = "" if error.chat is None else f"line {lines[error.chat][0]}: "
        raise RequestError(f"{path}: {where}the model's chat template fails: {error}") from error
    for (number, _), text in zip(lines, texts, strict=True):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise RequestError(f"{path}: line {number} holds half a character (a lone surrogate)") from None
    return "".join(texts)


def control_tokens(model: ModelFile) -> dict[str, int]:
    """Return the tokens that stand for themselves in a rendered conversation, with their ids.

    Raises:
        SourceError: the model's vocabulary is damaged.
    """
    tokens = [str(token) for token in _table(model, "tokens")]
    kinds = enumerate(zip(tokens, _table(model, "token_type"), strict=False))
    by_name, plain = control_names(tokens, model.metadata), plain_names(tokens)
    return {
        token: index
        for index, (token, kind) in kinds
        if token and token not in plain and (kind in _CONTROL or token in by_name)
    }


def encode_with_control(
    tokenizer: TextTokenizer, content: str, control: Mapping[str, int], limit: int | None = None
) -> npt.NDArray[np.int32]:
    """Return token ids, int32 [n]; the text between control tokens is encoded piece by piece.

    Args:
        tokenizer: the tokenizer of the text between control tokens.
        content: the text.
        control: control token → id.
        limit: return only this many ids at most, the first of the whole text's.
    """

    def encode(text: str) -> list[int]:
        ids: list[int] = []
        for part, is_token in fragments(text, list(control), tokenizer.rules):
            ids.extend([control[part]] if is_token else tokenizer.encode(part).tolist())
        return ids

    if not control:
        return tokenizer.encode(content, limit)
    return tokenizer.encode_with(encode, content, limit, control)


def _table(model: ModelFile, name: str) -> list[Any]:
    values = model.require(f"tokenizer.ggml.{name}")
    if not isinstance(values, (list, np.ndarray)):
        raise SourceError(model.path, f"metadata key tokenizer.ggml.{name} is not an array")
    return values if isinstance(values, list) else values.tolist()


def _chat(path: Path, number: int, line: str) -> str:
    """Return a line's conversation as JSON: an object with the keys that templates use."""
    try:
        value = json.loads(line)
        named = value if isinstance(value, dict) else {"messages": value}
        chat = json.dumps({name: named[name] for name in _TEMPLATE_KEYS if name in named})
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path}: line {number} is not JSON; each line must be a conversation") from error
    messages = named.get("messages")
    if not isinstance(messages, list) or not all(isinstance(item, dict) for item in messages) or not messages:
        raise RequestError(
            f"{path}: line {number} is neither a list of messages nor an object with the list 'messages'"
        )
    if reason := refusal(messages):
        raise RequestError(f"{path}: line {number}: {reason}")
    return chat


def _token(model: ModelFile, role: str) -> str:
    index, tokens = model.single(f"tokenizer.ggml.{role}_token_id"), _table(model, "tokens")
    return str(tokens[index]) if isinstance(index, int) and 0 <= index < len(tokens) else ""
