"""The content of a message: a text, or a list of parts in OpenAI's form.

Some templates accept parts, most only texts, and none declares which; it is detected from the rendered text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]

#: A part that the template printed as an object instead of its text.
_PRINTED = re.compile(r"""['"]type['"]\s*:\s*['"]text['"]""")


def refusal(messages: Sequence[Message]) -> str | None:
    """Return why messages cannot be evaluated; None if all of them are text."""
    for number, message in enumerate(messages, 1):
        for part in _parts(message):
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                return f"message {number} has a part without a type: {_shown(part)}"
            if part["type"] != "text":
                return f"message {number} has a part of type {part['type']!r}, but only text is evaluated"
            if not isinstance(part.get("text"), str):
                return f"message {number} has a part of type 'text' without a text: {_shown(part)}"
    return None


def has_parts(messages: Sequence[Message]) -> bool:
    """Return whether any message is a list of parts."""
    return any(_parts(message) for message in messages)


def as_texts(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with their parts joined by line breaks, as llama.cpp's server joins them."""
    return [
        message | {"content": "\n".join(part["text"] for part in parts)}
        if (parts := _parts(message))
        else message
        for message in messages
    ]


def shows_parts(rendered: str, plain: str, messages: Sequence[Message]) -> bool:
    """Return whether a template understands parts.

    Args:
        rendered: the messages as the template renders them.
        plain: the rendered messages of `as_texts`.
        messages: the messages with their parts.
    """
    texts = [part["text"].strip() for message in messages for part in _parts(message)]
    printed = len(_PRINTED.findall(rendered)) > len(_PRINTED.findall(plain))
    return not printed and all(text in rendered for text in texts)


def _parts(message: Message) -> list[Any]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _shown(part: Any) -> str:
    return json.dumps(part)[:60]
