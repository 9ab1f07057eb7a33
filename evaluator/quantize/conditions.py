"""Check and evaluate the conditions of recipes: names, integers and comparisons; no calls, no attributes."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from types import CodeType

Facts = Mapping[str, int | str | bool]

_ALLOWED = (
    ast.Expression,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.UnaryOp,
    ast.Not,
    ast.USub,
    ast.BinOp,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.FloorDiv,
    ast.Mod,
    ast.Compare,
    ast.Eq,
    ast.NotEq,
    ast.Lt,
    ast.LtE,
    ast.Gt,
    ast.GtE,
    ast.In,
    ast.NotIn,
    ast.Name,
    ast.Load,
    ast.Constant,
    ast.List,
    ast.Tuple,
)


def check_condition(text: str, names: frozenset[str]) -> None:
    """Check that a condition uses only arithmetic, comparisons and the given names.

    Raises:
        ValueError: it uses something else; the message says what.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"condition {text!r}: {error.msg}") from None
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ValueError(f"condition {text!r}: {type(node).__name__} is not allowed")  # noqa: TRY004
        if isinstance(node, ast.Name) and node.id not in names:
            raise ValueError(
                f"condition {text!r}: unknown name {node.id!r} (known: {', '.join(sorted(names))})"
            )
        if isinstance(node, ast.Constant) and not isinstance(node.value, (int, str)):
            raise ValueError(f"condition {text!r}: {node.value!r} is not an integer or a string")  # noqa: TRY004


def holds(text: str, facts: Facts) -> bool:
    """Return whether a condition checked by `check_condition` holds for these facts.

    Raises:
        ValueError: it cannot be evaluated, for example because it divides by zero or compares text with numbers.
    """
    try:
        return bool(eval(_code(text), {"__builtins__": {}}, dict(facts)))  # noqa: S307 (only checked nodes get here)
    except (ArithmeticError, TypeError) as error:
        raise ValueError(f"condition {text!r}: {error}") from None


@functools.cache
def _code(text: str) -> CodeType:
    return compile(ast.parse(text, mode="eval"), "<condition>", "eval")
