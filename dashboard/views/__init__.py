"""The views, one file each: a module here that defines `VIEW` is found and shown."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import plotly.graph_objects as go

from dashboard.insights import Insight
from dashboard.results import HOW_TO_MEASURE, Results
from dashboard.selection import Selection


@dataclass(frozen=True)
class Absent:
    """Data that a view needs and the folder does not hold: what, and the command that measures it."""

    what: str
    command: str


@dataclass(frozen=True)
class View:
    """A question and its picture.

    `figure`, `headline` and `insights` are pure: the same results and selection give the same output.
    `absent` tells what is not measured; the others are called only when it returns None.
    """

    id: str
    number: int
    tab: str
    title: str
    caption: str
    headline: Callable[[Results, Selection], str]
    figure: Callable[[Results, Selection], go.Figure]
    insights: Callable[[Results, Selection], list[Insight]]
    absent: Callable[[Results], Absent | None] = lambda _results: None


@cache
def registry() -> tuple[View, ...]:
    """Every view, by number.

    Raises:
        ValueError: two views share an id or a number.

    """
    modules = (
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    views = sorted((module.VIEW for module in modules), key=lambda view: view.number)
    if len({view.id for view in views}) < len(views) or len({view.number for view in views}) < len(views):
        raise ValueError("two views share an id or a number")
    return tuple(views)


def command_for(results: Results, extra: str = "") -> str:
    """Word the command that measures what is missing, into the same folder, where finished work is kept."""
    return f"{HOW_TO_MEASURE} {results.folder}{extra}"


def absent_tokens(results: Results) -> Absent | None:
    """Tell what is missing when no variant has token frames beside the baseline's."""
    ids = [str(results.baseline["variant_id"]), *results.measured["variant_id"].to_list()]
    found = [(results.folder / "tokens" / f"{variant_id}.parquet").is_file() for variant_id in ids]
    if found[0] and any(found[1:]):
        return None
    return Absent(
        "the per-token frames (tokens/) of the baseline and of at least one variant", command_for(results)
    )
