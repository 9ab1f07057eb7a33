"""Allocate a byte budget to matrices so that the sum of their losses is small."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gguf import GGMLQuantizationType as GGMLType


@dataclass(frozen=True)
class Option:
    """One type for one matrix: its bytes and its loss."""

    kind: GGMLType
    n_bytes: int
    loss: float


def allocate(options: Mapping[str, Sequence[Option]], budget: int) -> dict[str, GGMLType]:
    """Choose a type for every matrix.

    All start with their cheapest type; the step along the convex hull that saves most loss per byte is then taken
    repeatedly while the budget lasts. What is left of it goes to the single changes of type that save most, also to
    types above the hull. Equal gains are taken in order of names, so the same measurements give the same types.

    Args:
        options: matrix → its possible types, in any order, at least one each.
        budget: bytes for all matrices together; if the cheapest types need more, they are returned anyway.
    """
    ladders = {name: _frontier(offers) for name, offers in options.items()}
    place = dict.fromkeys(ladders, 0)
    left = budget - sum(ladder[0].n_bytes for ladder in ladders.values())
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
    _spend(options, chosen, left)
    return {name: option.kind for name, option in chosen.items()}


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
    for offer in sorted(offers, key=lambda option: (option.n_bytes, option.loss)):
        if ladder and (offer.loss >= ladder[-1].loss or offer.n_bytes == ladder[-1].n_bytes):
            continue
        while len(ladder) > 1 and _rate(ladder[-1], offer) >= _rate(ladder[-2], ladder[-1]):
            ladder.pop()
        ladder.append(offer)
    return ladder


def _rate(lower: Option, upper: Option) -> float:
    gain, cost = _between(lower, upper)
    return gain / cost
