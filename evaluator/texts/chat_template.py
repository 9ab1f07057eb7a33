"""Runs a chat template, a program from a file that nobody vouched for: in a sandbox, and in a process of its own.

A sandbox keeps a template from reaching anything, but not from taking all time and memory; only the end of its
process does that. `python -m evaluator.texts.chat_template` reads a request on stdin and prints the texts, or why
there are none, as JSON.
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
#: Templates that write the date get this one, so that a conversation is the same text every day.
_TODAY = datetime(2024, 7, 26)
#: Time for the process to start and the template to be compiled, and for each conversation, which takes a
#: millisecond or so: ample, for other programs may be busy.
_SECONDS, _SECONDS_EACH = 20.0, 0.02
#: Characters that a template may write around a conversation, and how often it may repeat it.
_AROUND, _TIMES = 100_000, 10
#: Names that templates compare with none.
_ABSENT = ("tools", "documents")
#: Memory for the process and per character of what it is given.
_BYTES, _BYTES_EACH = 1 << 31, 64


class RenderingError(Exception):
    """A template that cannot be run: the message says why, `chat` is the index of the conversation if it is one's."""

    def __init__(self, reason: str, chat: int | None = None) -> None:
        super().__init__(reason)
        self.chat = chat


def render_apart(template: str, names: Mapping[str, str], chats: Sequence[str]) -> list[str]:
    """Conversations as a template writes them, a text each.

    Args:
        template: in the language of jinja2, as transformers extends it.
        names: texts that the template knows by name.
        chats: each, as JSON, an object with what else the template knows by name, `messages` among it.

    Raises:
        RenderingError: the template is damaged, refuses a conversation, or takes too much time, memory or text.
    """
    request = json.dumps({"template": template, "names": dict(names), "chats": list(chats)})
    try:
        said = run_module(_MODULE, given=request, seconds=_SECONDS + _SECONDS_EACH * len(chats))
    except ChildError as error:
        raise RenderingError(str(error)) from error
    answer = json.loads(said)
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
    except Exception as error:  # a template may provoke any, and Python's compiler has its own
        return {"fault": str(error) or type(error).__name__, "chat": len(texts) if compiled else None}
    return {"texts": texts}


def _chat_text(template: jinja2.Template, names: Mapping[str, str], chat: str) -> str:
    """A conversation as the template writes it; parts of messages become texts where it takes no parts."""
    most = _AROUND + _TIMES * len(chat)
    given: dict[str, Any] = {**dict.fromkeys(_ABSENT), **names, **json.loads(chat)}
    messages = given["messages"]
    if not has_parts(messages):
        return _text(template, given, most)
    rendered: str | None = None
    with contextlib.suppress(Exception):  # it may do anything with a list where it expects a text
        rendered = _text(template, given, most)
    try:
        plain = _text(template, given | {"messages": as_texts(messages)}, most)
    except Exception:
        if rendered is None:
            raise
        return rendered  # it insists on parts
    return rendered if rendered is not None and shows_parts(rendered, plain, messages) else plain


def _text(template: jinja2.Template, given: Mapping[str, Any], most: int) -> str:
    parts: list[str] = []
    for part in template.generate(given, add_generation_prompt=False):
        parts.append(part)
        most -= len(part)
        if most < 0:
            raise jinja2.TemplateError("it writes far more than the conversation holds")
    return "".join(parts)


def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _TODAY.strftime}
    return environment


class _Generation(Extension):
    """`{% generation %}` … `{% endgeneration %}`: marks what an assistant said, and changes nothing."""

    tags = {"generation"}  # noqa: RUF012 (the library declares it)

    def parse(self, parser: Parser) -> nodes.Node:
        """A block that calls `_as_it_is`, so that variables set in it end with it, as in transformers."""
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
    """Plain JSON, with transformers' options in their order: the engine's own filter escapes for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _bound_memory(n_bytes: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not every system can
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))


def _main() -> None:
    given = sys.stdin.read()
    _bound_memory(_BYTES + _BYTES_EACH * len(given))
    sys.stdout.write(json.dumps(_rendered(**json.loads(given))))


if __name__ == "__main__":
    _main()
