"""Define the views, one module each; every module here with a `VIEW` is shown."""

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
from dashboard.insights.picks import DIVERGENCE, Tells, sentence
from dashboard.results.exported import Exported, variants
from dashboard.results.folder import HOW_TO_MEASURE
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from evaluator.results.files import TOKENS, tokens_of

#: What a click in a view does: pick a variant, or filter by a confidence bin or by a layer and role.
Pick = Literal["variant", "bin", "layer"]
#: Keys in the URL that belong to no view: the user's limits, and the two variants to compare.
PAGE_OPTIONS = ("gb", "context", "tps", "rise", "a", "b", "columns")


@dataclass(frozen=True)
class Absent:
    """Data that a view needs but the folder lacks, and the command that measures them.

    `fault` says why an existing file cannot be read; empty if the file is missing.
    """

    what: str
    command: str
    fault: str = ""

    @property
    def title(self) -> str:
        """The problem in a few words."""
        return "Cannot be read" if self.fault else "Not measured yet"

    @property
    def heading(self) -> str:
        """The problem in one line, for use outside the view."""
        return "A file of this folder cannot be read" if self.fault else "Not measured in this results folder"

    @property
    def advice(self) -> str:
        """What to do; the command follows."""
        if self.fault:
            return "Measure again into a new folder:"
        return "Run the comparison again to measure it; finished work is kept:"


@dataclass(frozen=True)
class Option:
    """A switch of one view, kept in the URL: its key there, its name, and its choices as (value, text).

    The first choice is the default; anything unknown in a URL means the default. `withheld` returns the values of
    choices that a folder has no data for, which are not offered; `applies` returns whether the switch is shown.
    """

    key: str
    name: str
    choices: tuple[tuple[str, str], ...]
    withheld: Callable[[Results], frozenset[str]] = lambda _results: frozenset()
    applies: Callable[[Scope], bool] = lambda _scope: True

    def of(self, selection: Selection) -> str:
        """Return the value that `selection` carries."""
        wanted = dict(selection.options).get(self.key, "")
        return wanted if wanted in dict(self.choices) else self.choices[0][0]

    def offered(self, results: Results, selection: Selection) -> str:
        """Return the value that `selection` carries, the default if the folder has no data for it."""
        value = self.of(selection)
        return self.choices[0][0] if value in self.withheld(results) else value


@dataclass(frozen=True)
class View:
    """One view: a chart with its title, caption, insights and claims.

    `draw`, `headline`, `insights` and `claims` are pure: the same results and selection give the same output. They
    are called only if `absent`, which returns the missing data, is None. In the figure `customdata[i][0]` is a
    point's variant, followed by its bin, or by layer and role; `pick` says what a click on the point does. `ignores`
    names the filters (fields of `Selection`) that do not affect the view's data; with a token filter, `unfiltered`
    is added to the caption. `tells` puts what the view shows of one variant into words, for the line about the picks.
    `data` returns the frame to export, by default all columns of the variants. `captions`
    and `titles` give captions and titles for values of the view's switch; `noted` returns what the data add to the
    caption.
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
    captions: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    noted: Callable[[Scope], str] = lambda _scope: ""
    tells: Tells = DIVERGENCE
    data: Exported = variants

    def applied(self, scope: Scope) -> Scope:
        """Return `scope` with only the filters that affect this view's data."""
        return scope.narrowed(**{name: frozenset() for name in self.ignores})

    def titled(self, scope: Scope) -> str:
        """Return the title for the current switches."""
        return next(filter(None, map(self.titles.get, self.switches(scope))), self.title)

    def switches(self, scope: Scope) -> list[str]:
        """Return the values of the switches that are shown."""
        shown = [option for option in self.options if option.applies(scope)]
        return [option.offered(scope.results, scope.selection) for option in shown]

    def described(self, scope: Scope) -> str:
        """Return the caption for the current switches, with a note on data that the token filter does not affect."""
        parts = [self.caption, *(self.captions.get(value, "") for value in self.switches(scope))]
        return " ".join(filter(None, [*parts, self.unfiltered if scope.selection.filters_tokens else ""]))

    def captioned(self, scope: Scope) -> str:
        """Return the caption with what the data add to it."""
        return " ".join(filter(None, [self.described(scope), self.noted(scope)]))

    def about_picks(self, scope: Scope) -> str:
        """Return the line under the title: the picked variants' names and values; empty without picks."""
        return sentence(scope, self.tells)

    def left_out(self, rows: Sequence[Mapping[str, Any]], drawn: Drawing) -> list[str]:
        """Name failed rows that `drawn` does not show; the layer view shows them too."""
        return [] if self.pick == "layer" else left_out(rows, drawn)

    def figure(self, scope: Scope) -> go.Figure:
        """Return the drawing as a Plotly figure with all attributes validated."""
        return self.draw(scope).checked()


def registry() -> tuple[View, ...]:
    """Return the numbered views, by number."""
    return tuple(view for view in charts() if view.number)


@cache
def charts() -> tuple[View, ...]:
    """Return the first page's chart, then the numbered views.

    Raises:
        ValueError: two views share an id, a number or an option's key.

    """
    modules = (
        importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)
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
    """Return all keys that may follow the filters in a URL."""
    return frozenset(PAGE_OPTIONS) | {option.key for view in charts() for option in view.options}


def command_for(results: Results, extra: str = "") -> str:
    """Return the command that measures missing data into the same folder."""
    return f"{HOW_TO_MEASURE} {results.folder}{extra}"


def missing(results: Results, what: str, files: Iterable[str], hint: str = "") -> Absent:
    """Describe missing data: an unreadable one of `files`, else a measurement, with a `hint` how to make it."""
    fault = next(filter(None, map(results.fault, files)), "")
    if fault:
        return Absent(what, f"{HOW_TO_MEASURE} NEW_FOLDER", fault)
    return Absent(f"{what}; {hint}" if hint else what, command_for(results))


def absent_tokens(results: Results) -> Absent | None:
    """Return what is missing unless the baseline and at least one variant have token frames."""
    ids = [str(results.baseline["variant_id"]), *results.measured["variant_id"].to_list()]
    readable = [results.tokens(variant_id) is not None for variant_id in ids]
    if readable[0] and any(readable[1:]):
        return None
    what = f"per-token data ({TOKENS}/) of the baseline and at least one variant"
    return missing(results, what, (tokens_of(variant_id).name for variant_id in ids))
