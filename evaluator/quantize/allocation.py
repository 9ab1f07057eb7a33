"""Allocate a byte budget to matrices so that the sum of their losses is small."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gguf import GGMLQuantizationType as GGMLType

#: Matrices of which all types are tried.
_TRIED = 2


@dataclass(frozen=True)
class Option:
    """One type for one matrix: its bytes and its loss."""

    kind: GGMLType
    n_bytes: int
    loss: float


def allocate(options: Mapping[str, Sequence[Option]], budget: int) -> dict[str, GGMLType]:
    """Choose a type for every matrix.

    The matrices whose types differ by most bytes, usually embedding and head, get every combination of their types
    in turn: one step of theirs may be worth many steps of others, and what is left at the end is not enough for it.
    With each combination, the others start with their cheapest type; the step along the convex hull that saves most
    loss per byte is then taken repeatedly while the budget lasts. What is left goes to the single changes of type
    that save most, also to types above the hull. Equal gains are taken in order of names, so the same measurements
    give the same types.

    Args:
        options: matrix → its possible types, in any order, at least one each.
        budget: bytes for all matrices together; if the cheapest types need more, they are returned anyway.
    """
    largest = sorted(options, key=lambda name: (-_span(options[name]), name))[:_TRIED]
    others = {name: offers for name, offers in options.items() if name not in largest}
    ladders = {name: _frontier(offers) for name, offers in others.items()}
    plans = (
        _filled(dict(zip(largest, tried, strict=True)), others, ladders, budget)
        for tried in itertools.product(*(reversed(_useful(options[name])) for name in largest))
    )
    best = min(plans, key=lambda plan: _rank(plan, budget))
    return {name: best[name].kind for name in options}


def _filled(
    tried: Mapping[str, Option],
    others: Mapping[str, Sequence[Option]],
    ladders: Mapping[str, Sequence[Option]],
    budget: int,
) -> dict[str, Option]:
    """Return the types of all matrices, if some of them have those of `tried`; `ladders` are the others' hulls."""
    place = dict.fromkeys(ladders, 0)
    left = budget - sum(option.n_bytes for option in tried.values())
    left -= sum(ladder[0].n_bytes for ladder in ladders.values())
    steps = [step for name, ladder in ladders.items() for step in _step(name, ladder, 0)]
    heapq.heapify(steps)
    while steps:
        _, name, cost = heapq.heappop(steps)
        if cost > left:
            continue  # this matrix keeps its type; cheaper steps of others may still fit
        left -= cost
        place[name] += 1
        for step in _step(name, ladders[name], place[name]):
            heapq.heappush(steps, step)
    chosen = {name: ladder[place[name]] for name, ladder in ladders.items()}
    _spend(others, chosen, left)
    return {**tried, **chosen}


def _rank(plan: Mapping[str, Option], budget: int) -> tuple[int, float]:
    """Return the bytes above the budget, and the loss: the least is the best plan."""
    return max(0, sum(option.n_bytes for option in plan.values()) - budget), sum(
        option.loss for option in plan.values()
    )


def _span(offers: Sequence[Option]) -> int:
    sizes = [option.n_bytes for option in offers]
    return max(sizes) - min(sizes)


def _useful(offers: Sequence[Option]) -> list[Option]:
    """Return the types that lose less than every smaller one, cheapest first."""
    useful: list[Option] = []
    for offer in sorted(offers, key=lambda option: (option.n_bytes, option.loss)):
        if not useful or (offer.loss < useful[-1].loss and offer.n_bytes > useful[-1].n_bytes):
            useful.append(offer)
    return useful


def _spend(options: Mapping[str, Sequence[Option]], chosen: dict[str, Option], left: int) -> None:
    """Take the changes of one matrix's type that save most loss while any fits into the bytes `left`."""
    while True:
        changes = (
            (chosen[name].loss - offer.loss, name, offer)
            for name, offers in options.items()
            for offer in offers
            if offer.loss < chosen[name].loss and offer.n_bytes - chosen[name].n_bytes <= left
        )
        best = min(changes, key=lambda change: (-change[0], change[1]), default=None)
        if best is None:
            return
        _, name, offer = best
        left -= offer.n_bytes - chosen[name].n_bytes
        chosen[name] = offer


def _step(name: str, ladder: Sequence[Option], place: int) -> list[tuple[float, str, int]]:
    """Return (−gain per byte, matrix, bytes) of the next step up, if there is one."""
    if place + 1 == len(ladder):
        return []
    gain, cost = _between(ladder[place], ladder[place + 1])
    return [(-gain / cost, name, cost)]


def _between(lower: Option, upper: Option) -> tuple[float, int]:
    return lower.loss - upper.loss, upper.n_bytes - lower.n_bytes


def _frontier(offers: Sequence[Option]) -> list[Option]:
    """Return the lower convex hull of loss over bytes, cheapest first: each step saves less loss per byte."""
    ladder: list[Option] = []
    for offer in _useful(offers):
        while len(ladder) > 1 and _rate(ladder[-1], offer) >= _rate(ladder[-2], ladder[-1]):
            ladder.pop()
        ladder.append(offer)
    return ladder


def _rate(lower: Option, upper: Option) -> float:
    gain, cost = _between(lower, upper)
    return gain / cost
