"""What a message says: a text, or a list of parts as OpenAI writes them.

Some templates take parts, most know texts only, and none says which: what a template makes of the parts shows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]

#: A part that was printed, instead of what it says.
_PRINTED = re.compile(r"""['"]type['"]\s*:\s*['"]text['"]""")


def refusal(messages: Sequence[Message]) -> str | None:
    """Why messages cannot be evaluated; None where all of them are text."""
    for number, message in enumerate(messages, 1):
        for part in _parts(message):
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                return f"message {number} has a part without a type: {_shown(part)}"
            if part["type"] != "text":
                return f"message {number} has a part of type {part['type']!r}, and only text is evaluated"
            if not isinstance(part.get("text"), str):
                return f"message {number} has a part of type 'text' without a text: {_shown(part)}"
    return None


def has_parts(messages: Sequence[Message]) -> bool:
    """Whether a message is a list of parts."""
    return any(_parts(message) for message in messages)


def as_texts(messages: Sequence[Message]) -> list[Message]:
    """The messages with a text each: parts on lines of their own, as llama.cpp's server joins them."""
    return [
        message | {"content": "\n".join(part["text"] for part in parts)}
        if (parts := _parts(message))
        else message
        for message in messages
    ]


def shows_parts(rendered: str, plain: str, messages: Sequence[Message]) -> bool:
    """Whether a template knows what parts are.

    Args:
        rendered: the messages as it writes them.
        plain: the same, from `as_texts`.
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
