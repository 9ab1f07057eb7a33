"""State what the values of the shown variants say about the framed part, roles, depth and tensor types."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import TypeVar

from dashboard.insights import Insight, Kind
from dashboard.insights.experts import worst_of
from dashboard.insights.layers import (
    EVEN,
    SLIGHT,
    Shown,
    Values,
    attention_share,
    concentration,
    depth,
    first_third,
    frame_name,
    framed,
    last_part,
    usual_type,
)
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.style import formats

_MOST_NOTES = 3
_T = TypeVar("_T")


def findings(shown: Shown, selection: Selection) -> list[Insight]:
    """Describe the framed part, attention against feed-forward, concentration, depth, and mixed types."""
    candidates = [
        _frame(shown, selection),
        _attention(shown),
        _concentration(shown),
        *_parts(shown),
        _raised(shown),
    ]
    return [insight for insight in candidates if insight is not None]


def framed_values(shown: Shown, selection: Selection) -> dict[str, Values]:
    """Return the values of the framed part by variant."""
    return {
        name: framed(values, selection.layers, selection.roles) for name, values in shown.values_of.items()
    }


def _frame(shown: Shown, selection: Selection) -> Insight | None:
    """Write the framed part's mean for every shown variant, lowest first."""
    inside = framed_values(shown, selection)
    means = {name: fmean(part.values()) for name, part in inside.items() if part}
    if not means or not (selection.layers or selection.roles):
        return None
    labels = shown.labels
    ordered = sorted(means, key=lambda name: (means[name], labels[name]))
    written = [
        f"{labels[name]} {shown.measure.written(means[name])}{_worst(shown, selection, name)}"
        for name in ordered
    ]
    values = formats.listing(written, 6)
    text = f"{frame_name(selection.layers, selection.roles)}: {values}."
    detail = f"mean {shown.measure.title} in the frame; the insights below are about all layers and roles"
    return Insight(text, "finding", detail)


def _worst(shown: Shown, selection: Selection, name: str) -> str:
    """Name the worst expert of the framed part, if it stacks some."""
    found = (
        None
        if shown.measure.of_layers
        else worst_of(framed(shown.parts[name].experts, selection.layers, selection.roles))
    )
    return f" (worst expert {found.number}: weight error {formats.number(found.error)})" if found else ""


def _attention(shown: Shown) -> Insight | None:
    """Compare attention with feed-forward by the log ratio of mean values over layers."""
    values = _by_variant(shown, attention_share)
    if not values:
        return None
    detail = f"attention / feed-forward by {shown.measure.noun}: {_ratios(values)}"
    if all(value.low > 0 for value in values.values()):
        slightly = " slightly" if all(value.value < SLIGHT for value in values.values()) else ""
        text = f"As a whole, attention is hit{slightly} harder than feed-forward."
        return Insight(text, "finding", detail, effect=_widest(values))
    if all(value.high < 0 for value in values.values()):
        text = "As a whole, feed-forward is hit harder than attention, whatever single roles show."
        return Insight(text, "finding", detail, effect=_widest(values))
    if all(not value.differs_from_zero for value in values.values()):
        return Insight("Attention and feed-forward are hit equally, within the error.", "tie", detail)
    text = "Whether attention or feed-forward is hit harder depends on the variant."
    return Insight(text, "finding", detail)


def _by_variant(shown: Shown, of: Callable[[Values], _T | None]) -> dict[str, _T]:
    """Apply `of` to the values of every shown variant, leaving out None."""
    results_of = {str(row["variant_id"]): of(shown.values_of[row["variant_id"]]) for row in shown.rows}
    return {name: value for name, value in results_of.items() if value is not None}


def _ratios(values: Mapping[str, Estimate]) -> str:
    """Write the range of ratios over variants with the widest ends of their intervals."""
    low, high = min(v.value for v in values.values()), max(v.value for v in values.values())
    ends = [formats.number(math.exp(end), 3) for end in (low, high)]
    span = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    least, most = min(v.low for v in values.values()), max(v.high for v in values.values())
    return f"{span} × (95 % {formats.number(math.exp(least), 3)}–{formats.number(math.exp(most), 3)})"


def _widest(values: Mapping[str, Estimate]) -> float:
    """Return the largest log ratio."""
    return max(abs(value.value) for value in values.values())


def _concentration(shown: Shown) -> Insight | None:
    known = _by_variant(shown, lambda values: concentration(depth(values)))
    what = "change of routing" if shown.measure.of_routing else "damage"
    if not known:
        text = f"How the {what} spreads over the layers is unknown: fewer than six were measured."
        return Insight(text, "unknown")
    most, least = max(known, key=lambda name: known[name]), min(known, key=lambda name: known[name])
    label = next(row["label"] for row in shown.rows if row["variant_id"] == most)
    even = "evenly" if known[most] < EVEN else "unevenly"
    most_of_all = f"; {label} is the most concentrated" if len(known) > 1 else ""
    text = f"The {what} spreads {even} over the layers{most_of_all}."
    ends = [formats.number(known[name], 2) for name in (least, most)]
    span = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    return Insight(text, "finding", f"Gini coefficient over layers {span}; under {EVEN} counts as even")


def _parts(shown: Shown) -> list[Insight]:
    parts = []
    for name, of in (
        ("first third of the layers", first_third),
        ("last tenth of the layers, with the head,", last_part),
    ):
        values = _by_variant(shown, of)
        if not values:
            continue
        more = all(value.low > 0 for value in values.values())
        less = all(value.high < 0 for value in values.values())
        how = "is hit harder than" if more else "is hit less than"
        if not (more or less):
            how = "does not measurably differ from"
        kind: Kind = "finding" if more or less else "tie"
        detail = f"{shown.measure.noun} of this part / the rest: {_ratios(values)}"
        effect = _widest(values) if kind == "finding" else 0.0
        parts.append(Insight(f"The {name} {how} the rest.", kind, detail, effect=effect))
    return parts


def _raised(shown: Shown) -> Insight | None:
    """Name the parts whose type differs from their variant's usual one."""
    known = [(label, types) for name, label in shown.labels.items() if (types := shown.parts[name].types)]
    mixed = [(label, types) for label, types in known if len(set(types.values())) > 1]
    if not known:
        return None
    if not mixed:
        whose = f"{known[0][0]}" if len(known) == 1 else "Every shown variant"
        return Insight(f"{whose} has all its tensors in one type.", "finding")
    notes = []
    for label, types in mixed[:_MOST_NOTES]:
        usual = usual_type(types)
        other = Counter((role, kind) for (_, role), kind in types.items() if kind != usual)
        parts = ", ".join(f"{role} {kind} in {count}" for (role, kind), count in other.most_common(3))
        notes.append(f"{label}: mostly {usual}; {parts}")
    text = f"{len(mixed)} of {len(known)} shown variants mix tensor types."
    if len(known) == 1:
        text = f"{mixed[0][0]} mixes tensor types."
    return Insight(text, "finding", ". ".join(notes))
