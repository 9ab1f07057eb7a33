"""Run a chat template, which is a program from an untrusted file: in a sandbox and in a child process.

The sandbox denies access to files and modules, but does not limit time and memory; the child process does.
`python -m evaluator.texts.chat_template` reads a request from stdin and prints the texts, or the error, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from evaluator.support.child_process import ChildError, run_module
from evaluator.texts.chat_content import as_texts, has_parts, shows_parts

_MODULE = "evaluator.texts.chat_template"
#: The date that templates get, fixed so that the same conversation gives the same text every day.
_TODAY = datetime(2024, 7, 26)
#: Time limit: to start the process and compile the template, and for each conversation. A conversation takes about
#: a millisecond; the limit is larger because the machine may be busy.
_SECONDS, _SECONDS_EACH = 20.0, 0.02
#: Limit of the rendered text: a fixed number of characters, plus this multiple of the conversation's length.
_AROUND, _TIMES = 100_000, 10
#: Names that templates compare with none.
_ABSENT = ("tools", "documents")
#: Memory limit of the process, and the addition per character of its input.
_BYTES, _BYTES_EACH = 1 << 31, 64


class RenderingError(Exception):
    """A template failed: `chat` is the index of the conversation, None if the template itself is at fault."""

    def __init__(self, reason: str, chat: int | None = None) -> None:
        super().__init__(reason)
        self.chat = chat


def render_apart(template: str, names: Mapping[str, str], chats: Sequence[str]) -> list[str]:
    """Render conversations with a template in a child process; return a text for each.

    Args:
        template: a jinja2 template, with transformers' extensions.
        names: string variables of the template.
        chats: a JSON object for each conversation with the other variables, including `messages`.

    Raises:
        RenderingError: the template is damaged, rejects a conversation, or exceeds a limit (time, memory, text).
    """
    request = json.dumps({"template": template, "names": dict(names), "chats": list(chats)})
    try:
        printed = run_module(_MODULE, given=request, seconds=_SECONDS + _SECONDS_EACH * len(chats))
    except ChildError as error:
        raise RenderingError(str(error)) from error
    answer = json.loads(printed)
    if "fault" in answer:
        raise RenderingError(answer["fault"], answer["chat"])
    texts: list[str] = answer["texts"]
    return texts


def _rendered(template: str, names: Mapping[str, str], chats: Sequence[str]) -> dict[str, Any]:
    texts: list[str] = []
    compiled: jinja2.Template | None = None
    try:
        compiled = _environment().from_string(template)
        for chat in chats:
            texts.append(_chat_text(compiled, names, chat))
    except Exception as error:  # a template can raise any error, and so can Python's compiler
        return {"fault": str(error) or type(error).__name__, "chat": len(texts) if compiled else None}
    return {"texts": texts}


def _chat_text(template: jinja2.Template, names: Mapping[str, str], chat: str) -> str:
    """Render one conversation; parts of messages are joined to texts if the template does not accept parts."""
    limit = _AROUND + _TIMES * len(chat)
    given: dict[str, Any] = {**dict.fromkeys(_ABSENT), **names, **json.loads(chat)}
    messages = given["messages"]
    if not has_parts(messages):
        return _text(template, given, limit)
    rendered: str | None = None
    with contextlib.suppress(Exception):  # a template that expects a text may raise any error for a list
        rendered = _text(template, given, limit)
    try:
        plain = _text(template, given | {"messages": as_texts(messages)}, limit)
    except Exception:
        if rendered is None:
            raise
        return rendered  # the template accepts only parts
    return rendered if rendered is not None and shows_parts(rendered, plain, messages) else plain


def _text(template: jinja2.Template, given: Mapping[str, Any], limit: int) -> str:
    parts: list[str] = []
    for part in template.generate(given, add_generation_prompt=False):
        parts.append(part)
        limit -= len(part)
        if limit < 0:
            raise jinja2.TemplateError("the rendered text is far longer than the conversation")
    return "".join(parts)


def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _TODAY.strftime}
    return environment


class _Generation(Extension):
    """`{% generation %}` … `{% endgeneration %}`: marks an assistant's message and does not change the text."""

    tags = {"generation"}  # noqa: RUF012 (the library declares it)

    def parse(self, parser: Parser) -> nodes.Node:
        """Return a block that calls `_as_it_is`, so that variables set in it are local, as in transformers."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

    def _as_it_is(self, caller: Callable[[], str]) -> str:
        return caller()


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return plain JSON, with transformers' options in their order; jinja2's own filter escapes for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _bound_memory(n_bytes: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not supported on every system
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))


def _main() -> None:
    given = sys.stdin.read()
    _bound_memory(_BYTES + _BYTES_EACH * len(given))
    sys.stdout.write(json.dumps(_rendered(**json.loads(given))))


if __name__ == "__main__":
    _main()
