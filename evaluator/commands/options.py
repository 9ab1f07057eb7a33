"""Describe commands and their options as data, so that a form can be built from them."""

from __future__ import annotations

import importlib
import inspect
import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from evaluator.engines import ENGINES
from evaluator.models.sources.packaged import PACKAGED_MODELS
from evaluator.planning.config import Comparison, ready_made
from evaluator.texts.sources import BUILT_IN, WIKITEXT

_KINDS: Mapping[type, str] = {bool: "flag", int: "integer", float: "number", str: "text", Path: "path"}
_DEFAULT = re.compile(r"\bdefault: (?P<value>.+?)\.?$", re.IGNORECASE)


def described(commands: Mapping[str, Callable[..., object]]) -> dict[str, Any]:
    """Return `{"commands": {name: {"help", "options"}}}` of functions that the command line calls.

    An option has `name`, `flag` (None for an argument without one), `kind` (flag, integer, number, text or path),
    `repeated`, `required`, `default`, `min`, `max`, `help` and `known`, values that may be suggested.

    Raises:
        ModuleNotFoundError: a package is missing that measuring needs.
    """
    importlib.import_module("evaluator.commands.demo")
    return {
        "commands": {
            name: {
                "help": inspect.getdoc(function) or "",
                "options": [
                    _option(parameter)
                    for parameter in inspect.signature(function, eval_str=True).parameters.values()
                ],
            }
            for name, function in commands.items()
        }
    }


def _option(parameter: inspect.Parameter) -> dict[str, Any]:
    annotation, info = get_args(parameter.annotation)[:2]
    kind, repeated = _kind(annotation)
    is_argument = type(info).__name__ == "ArgumentInfo"
    # Inside `Annotated`, typer keeps the first name that is given as the default.
    names = [name for name in (info.default, *(info.param_decls or ())) if str(name).startswith("--")]
    given = parameter.default
    required = given is inspect.Parameter.empty
    default = None if required or given is None or given is False else str(given)
    return {
        "name": parameter.name,
        "flag": None if is_argument else next(iter(names), f"--{parameter.name.replace('_', '-')}"),
        "kind": kind,
        "repeated": repeated,
        "required": required,
        "default": default or _said(info.help or ""),
        "min": info.min,
        "max": info.max,
        "help": info.help or "",
        "known": _values(annotation) or _known().get(parameter.name, []),
    }


def _kind(annotation: Any) -> tuple[str, bool]:
    """Return an annotation's kind, and whether it is a list; `| None` does not count."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _kind(next(item for item in get_args(annotation) if item is not type(None)))
    if get_origin(annotation) is Literal:
        return "text", False
    if get_origin(annotation) is list:
        return _kind(get_args(annotation)[0])[0], True
    return _KINDS[annotation], False


def _values(annotation: Any) -> list[str]:
    """Return the only values that an annotation allows, if it lists them."""
    if get_origin(annotation) is Annotated:
        return _values(get_args(annotation)[0])
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []


def _said(text: str) -> str | None:
    """Return the default that a help text names, None if it names none."""
    if "(default)" in text:
        return text.partition(" (default)")[0].split()[-1]
    found = _DEFAULT.search(text)
    return found["value"] if found else None


def _known() -> dict[str, list[str]]:
    """Return names that options understand, by option."""
    engines = sorted(ENGINES.names())
    caches = dict.fromkeys(kind for name in engines for kind in ENGINES.get(name).cache_types)
    return {
        "comparison": list(ready_made()),
        "baseline": list(PACKAGED_MODELS),
        "text": [BUILT_IN, WIKITEXT],
        "device": list(get_args(Comparison.model_fields["device"].annotation)),
        "cluster": ["local", "auto"],
        "engines": [*engines, ",".join(engines)],
        "kv_cache": [",".join(caches)] if caches else [],
    }
