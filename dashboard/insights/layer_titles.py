"""Say in the title of view 3 where the damage is, and which cells the sentence is about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean, median

from dashboard.insights.experts import opened, worst_of
from dashboard.insights.layer_findings import framed_values
from dashboard.insights.layers import Cell, Shown, frame_name, framed, role_means
from dashboard.results.selection import Selection
from dashboard.style import formats, roles

_NOTABLE = 1.05


@dataclass(frozen=True)
class Title:
    """A title, and the cells that it names: by variant, the cell and its value as written."""

    text: str
    cells: Mapping[str, tuple[Cell, str]] = field(default_factory=dict)


def title(shown: Shown, selection: Selection) -> Title:
    """Tell the framed part's value, else the role with the largest mean over the variants, and its worst cell."""
    role = opened(shown, selection)
    if role is not None:
        return Title(_of_experts(shown, role, selection))
    if selection.layers or selection.roles:
        return _of_frame(shown, selection)
    return _hardest(shown)


def _hardest(shown: Shown) -> Title:
    """Name the role with the largest mean over the shown variants, and the largest value, also if of another role."""
    means = role_means(shown.values_of)
    if not means:
        return _deepest(shown)
    if len(means) == 1:
        ((role, value),) = means.items()
        return Title(f"{_capital(role)}, the only role measured: {shown.measure.worded(value)} on average")
    worst = max(means, key=lambda role: means[role])
    typical = median(means.values())
    factor = means[worst] / typical if typical > 0 else math.inf
    if factor < _NOTABLE:
        return Title(f"No role is more than 5 % above the median role's {shown.measure.noun}")
    times = (
        f": {formats.number(factor, 2)} × the median role's {shown.measure.noun}"
        if math.isfinite(factor)
        else ""
    )
    value, negative, role, name = max(
        (value, -layer, role, name)
        for name, values in shown.values_of.items()
        for (layer, role), value in values.items()
        if role in means
    )
    layer, written = -negative, shown.measure.written(value)
    where = f"in layer {layer} of {shown.labels[name]}" if layer >= 0 else f"of {shown.labels[name]}"
    most = f"most {where}" if role == worst else f"the single worst is {roles.named(role)} {where}"
    hit = "hit hardest" if role == worst else "hit hardest on average"
    text = f"{_capital(worst)} is {hit}{times}; {most} ({written})"
    return Title(text, {name: ((layer, role), written)})


def _of_experts(shown: Shown, role: str, selection: Selection) -> str:
    """Name the worst expert of a role in the framed layers."""
    worst = {
        name: expert
        for name, part in shown.parts.items()
        if (expert := worst_of(framed(part.experts, selection.layers, {role}))) is not None
    }
    if not worst:
        return f"No expert of {role} has a finite error"
    name = max(worst, key=lambda name: worst[name].error)
    expert = worst[name]
    who = f"{shown.labels[name]}: expert" if len(shown.rows) > 1 else "Expert"
    what = f"relative weight error {formats.number(expert.error)}{expert.times}"
    return f"{who} {expert.number} of {expert.place} is hit hardest: {what}"


def _of_frame(shown: Shown, selection: Selection) -> Title:
    """Compare the mean of the framed part with the overall mean; a single cell is marked in every panel."""
    name = formats.first_up(frame_name(selection.layers, selection.roles))
    inside = framed_values(shown, selection)
    part = [value for values in inside.values() for value in values.values()]
    if not part:
        return Title(f"{name}: the shown variants have no {shown.measure.name} there")
    whole = fmean(value for values in shown.values_of.values() for value in values.values())
    factor = f", {formats.number(fmean(part) / whole, 2)} × the overall mean" if whole > 0 else ""
    text = f"{name}: {shown.measure.worded(fmean(part))}{' on average' * (len(part) > 1)}{factor}"
    alone = {variant: next(iter(values.items())) for variant, values in inside.items() if len(values) == 1}
    return Title(
        text, {variant: (cell, shown.measure.written(value)) for variant, (cell, value) in alone.items()}
    )


def _deepest(shown: Shown) -> Title:
    """Say how a measure of layers grows from the first to the last; for routing, where it changes most."""
    if shown.measure.of_routing:
        values_of = {name: values for name, values in shown.values_of.items() if values}
        most = max(values_of, key=lambda name: max(values_of[name].values()))
        cell = max(values_of[most], key=lambda cell: (values_of[most][cell], -cell[0]))
        value = values_of[most][cell]
        text = f"{shown.labels[most]} changes routing most in layer {cell[0]}: {shown.measure.in_a_sentence(value)}"
        return Title(text, {most: (cell, shown.measure.written(value))})
    row = shown.rows[0]
    name = str(row["variant_id"])
    inside = {cell: value for cell, value in shown.values_of[name].items() if cell[0] >= 0}
    if len(inside) < 2 or inside[min(inside)] <= 0:
        return Title(f"Output errors of {len(shown.rows)} variants, layer by layer")
    last = max(inside)
    growth = formats.number(inside[last] / inside[min(inside)], 2)
    text = f"{row['label']}: the output error of the last layer is {growth} × the first's"
    return Title(text, {name: (last, shown.measure.written(inside[last]))})


def _capital(role: str) -> str:
    return formats.first_up(roles.named(role))
