"""Define the views, one file each: a module here with a `VIEW` is found and shown."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import plotly.graph_objects as go

from dashboard.figures.drawing import Drawing
from dashboard.figures.left_out import left_out
from dashboard.insights import Claim, Insight
from dashboard.results.exported import Exported, variants
from dashboard.results.folder import HOW_TO_MEASURE
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from evaluator.results.files import TOKENS, tokens_of

#: What a click in a view means: pick a variant, or filter by a bin of confidence or by a layer's role.
Pick = Literal["variant", "bin", "layer"]
#: Keys in the URL that belong to no view: the recommender's needs, and the two variants of the comparison.
PAGE_OPTIONS = ("gb", "tps", "rise", "a", "b")


@dataclass(frozen=True)
class Absent:
    """Data that a view needs and the folder does not hold: what, and the command that measures it.

    `fault` tells why a file that is there cannot be read; it is empty where there is none.
    """

    what: str
    command: str
    fault: str = ""

    @property
    def title(self) -> str:
        """The state of things in a few words."""
        return "Cannot be read" if self.fault else "Not measured yet"

    @property
    def heading(self) -> str:
        """The same in a line of its own, away from the view."""
        return "A file of this folder cannot be read" if self.fault else "Not measured in this results folder"

    @property
    def advice(self) -> str:
        """What to do, before the command."""
        if self.fault:
            return "Measure again into a new folder:"
        return "Run the comparison again with it; what is finished is kept and not measured twice:"


@dataclass(frozen=True)
class Option:
    """A switch of one view, kept in the URL: its key there, its name, and its choices as (value, text).

    The first choice is the default; anything unknown in a URL means the default.
    """

    key: str
    name: str
    choices: tuple[tuple[str, str], ...]

    def of(self, selection: Selection) -> str:
        """Return the value that `selection` carries."""
        wanted = dict(selection.options).get(self.key, "")
        return wanted if wanted in dict(self.choices) else self.choices[0][0]


@dataclass(frozen=True)
class View:
    """A question and its picture.

    `draw`, `headline`, `insights` and `claims` are pure: the same results and selection give the same
    output. `absent` tells what is not measured; the others are called only when it returns None. In the
    figure `customdata[i][0]` is the variant a point stands for; `pick` says what a click on it means, and
    `customdata[i]` goes on with the bin, or with layer and role. `ignores` names the filters (fields of
    `Selection`) that its data do not depend on; under a filter of tokens `unfiltered` says what is over all of them.
    `data` is what is exported of the view, a frame: all columns of the variants unless it says otherwise.
    `told` is what the caption says of a choice of the view's switch alone, by its value, and `titles` the title then.
    """

    id: str
    number: int
    tab: str
    title: str
    caption: str
    headline: Callable[[Scope], str]
    draw: Callable[[Scope], Drawing]
    insights: Callable[[Scope], list[Insight]]
    absent: Callable[[Results], Absent | None] = lambda _results: None
    options: tuple[Option, ...] = ()
    pick: Pick = "variant"
    claims: Callable[[Scope], list[Claim]] = lambda _scope: []
    ignores: frozenset[str] = frozenset({"layers", "roles"})
    unfiltered: str = ""
    told: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    data: Exported = variants

    def applied(self, scope: Scope) -> Scope:
        """Return `scope` with the filters alone that this view's data follow: what may be said beside them."""
        return scope.narrowed(**{name: frozenset() for name in self.ignores})

    def titled(self, selection: Selection) -> str:
        """Return the title, of the switch as it is set."""
        chosen = (self.titles.get(option.of(selection)) for option in self.options)
        return next(filter(None, chosen), self.title)

    def described(self, selection: Selection) -> str:
        """Return the caption, with what holds for the switches as they are, and what a filter does not reach."""
        parts = [self.caption, *(self.told.get(option.of(selection), "") for option in self.options)]
        return " ".join(filter(None, [*parts, self.unfiltered if selection.filters_tokens else ""]))

    def left_out(self, rows: Sequence[Mapping[str, Any]], drawn: Drawing) -> list[str]:
        """Name the rows that `drawn` does not show because they failed; errors of weights are there in any case."""
        return [] if self.pick == "layer" else left_out(rows, drawn)

    def figure(self, scope: Scope) -> go.Figure:
        """Return what `draw` draws as a figure whose every attribute is checked."""
        return self.draw(scope).checked()


@cache
def registry() -> tuple[View, ...]:
    """Every view, by number.

    Raises:
        ValueError: two views share an id, a number or an option's key.

    """
    modules = (
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    views = sorted((module.VIEW for module in modules), key=lambda view: view.number)
    if len({view.id for view in views}) < len(views) or len({view.number for view in views}) < len(views):
        raise ValueError("two views share an id or a number")
    keys = [option.key for view in views for option in view.options]
    if len(set(keys)) < len(keys):
        raise ValueError("two views share an option's key")
    return tuple(views)


@cache
def option_keys() -> frozenset[str]:
    """Return every key that may follow the filters in a URL."""
    return frozenset(PAGE_OPTIONS) | {option.key for view in registry() for option in view.options}


def command_for(results: Results, extra: str = "") -> str:
    """Word the command that measures what is missing, into the same folder, where finished work is kept."""
    return f"{HOW_TO_MEASURE} {results.folder}{extra}"


def missing(results: Results, what: str, files: Iterable[str], hint: str = "") -> Absent:
    """Word what a view lacks: one of its `files` that cannot be read, else a measurement, with a `hint` for it."""
    fault = next(filter(None, map(results.fault, files)), "")
    if fault:
        return Absent(what, f"{HOW_TO_MEASURE} NEW_FOLDER", fault)
    return Absent(f"{what}; {hint}" if hint else what, command_for(results))


def absent_tokens(results: Results) -> Absent | None:
    """Tell what is missing when no variant has token frames beside the baseline's."""
    ids = [str(results.baseline["variant_id"]), *results.measured["variant_id"].to_list()]
    found = [results.tokens(variant_id) is not None for variant_id in ids]
    if found[0] and any(found[1:]):
        return None
    what = f"the per-token frames ({TOKENS}/) of the baseline and of at least one variant"
    return missing(results, what, (tokens_of(variant_id).name for variant_id in ids))
