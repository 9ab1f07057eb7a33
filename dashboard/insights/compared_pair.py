"""Choose the two variants that Compare shows: named, picked, else the answer and the file to weigh it against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dashboard.insights.answers import Answers
from dashboard.insights.recommender import closest, of_size, usable
from dashboard.results.rows import Row
from dashboard.results.scope import Scope


def chosen(scope: Scope) -> tuple[Row, Row] | None:
    """Return the two variants to compare: named in the address, else picked, else `weighed`, else of about one size.

    Those that pass the filters come first, picked or not; the others complete a pair. None if the folder has fewer
    than two variants.
    """
    rows = {str(row["variant_id"]): row for row in scope.rows}
    everything = {str(row["variant_id"]): row for row in scope.results.measured.to_dicts()}
    if len(everything) < 2:
        return None
    named = _named(scope, everything)
    picked = sorted(scope.selection.picked)
    inside = [name for name in picked if name in rows]
    answer, _ = weighed(scope)
    spare = [*inside, *answer, *(_of_one_size(rows) if rows else []), *picked, *_of_one_size(everything)]
    start = list(dict.fromkeys(name for name in (*spare, *everything) if name in everything))
    for place in (0, 1):
        if named[place] is None:
            named[place] = next(name for name in (start[place], *start) if name not in named)
    computed = {str(row["variant_id"]): row for row in scope.results.select(scope.all_variants).to_dicts()}
    return computed[str(named[0])], computed[str(named[1])]


def why(scope: Scope) -> str:
    """Say why these two are compared; empty if one of them was named or picked."""
    everything = scope.results.measured["variant_id"].to_list()
    if scope.selection.picked or any(_named(scope, everything)):
        return ""
    return weighed(scope)[1] or _among(len(scope.rows))


def _among(passing: int) -> str:
    """Say which two are compared without an answer, by how many files pass the filters."""
    if passing == 0:
        return "No file passes the filters: A and B are two of the others."
    if passing == 1:
        return "A is the only file that passes the filters; B does not."
    return "A and B are two files that pass the filters."


def weighed(scope: Scope) -> tuple[list[str], str]:
    """Return the ids of the answer and of the file to weigh it against, and a sentence that says which they are.

    Without an answer or another file there are no ids.
    """
    answers = Answers.of(scope)
    own = answers.chosen
    if own is None:
        return [], ""
    others = [row for row in usable(answers.rows) if row["variant_id"] != own["variant_id"]]
    rivals, role = _rivals(own, others)
    rival = closest(rivals)
    if rival is None:
        return [], ""
    answer = "the recommended file" if answers.advice is None else "the best file within your limits"
    return [
        str(own["variant_id"]),
        str(rival["variant_id"]),
    ], f"A is {answer}; B is {role}, to weigh it against."


def _rivals(own: Row, others: Sequence[Row]) -> tuple[list[Row], str]:
    """Return the files of the same size (at most 1 % apart), else of the next smaller, else of the next larger."""
    size = own["size_bytes"]
    near = of_size(size, others)
    if near:
        return near, "the best other file of its size"
    smaller = [row["size_bytes"] for row in others if row["size_bytes"] < size]
    if smaller:
        return of_size(max(smaller), others), "the next smaller file"
    larger = of_size(min((row["size_bytes"] for row in others), default=0), others)
    return larger, "the next larger file, as none is smaller"


def _named(scope: Scope, everything: Sequence[str] | Mapping[str, Row]) -> list[str | None]:
    """Return the ids in the address, with None for each that is absent or unknown."""
    options = dict(scope.selection.options)
    return [options[key] if options.get(key) in everything else None for key in ("a", "b")]


def _of_one_size(rows: Mapping[str, Row]) -> list[str]:
    """Return the two variants of different methods on one model and device whose sizes are closest; else any two."""
    ordered = sorted(rows.values(), key=lambda row: (row["size_bytes"], row["variant_id"]))
    pairs = [
        (
            abs(math.log(one["size_bytes"] / other["size_bytes"])),
            str(one["variant_id"]),
            str(other["variant_id"]),
        )
        for index, one in enumerate(ordered)
        for other in ordered[index + 1 : index + 6]
        if one["method"] != other["method"]
        and (one["model"], one["device"]) == (other["model"], other["device"])
    ]
    return list(min(pairs)[1:]) if pairs else [str(row["variant_id"]) for row in ordered[:2]]
