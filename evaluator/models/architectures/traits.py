"""Everything that a description says, by name, to find where two files differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from evaluator.models.architectures.description import Decoder, Part
from evaluator.models.architectures.mixers import Mixer
from evaluator.models.architectures.rotary_set import RotarySet


def traits_of(decoder: Decoder) -> Iterator[tuple[str, Any]]:
    """Yield name and value of everything that is described, such as `layer 3's attention's heads`."""
    for item in fields(decoder):
        value = getattr(decoder, item.name)
        if item.name == "layers":
            yield "number of layers", len(value)
            for number, layer in enumerate(value):
                yield from _traits(f"layer {number}'s", layer)
        else:
            yield from _traits(item.name.replace("_", " "), value)


def _traits(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if is_dataclass(value) and not isinstance(value, type):
        label = type(value).__name__.lower()
        owner = name if label == "part" else f"{name} {label}'s"
        for item in fields(value):
            if isinstance(value, RotarySet) and item.name == "original" and not value.long_factors:
                continue  # then it is the length of the context, which changes nothing
            inner = f"{owner} {item.name.replace('_', ' ')}"
            yield from _traits(
                owner if item.name in ("mixers", "router") else inner, getattr(value, item.name)
            )
    elif isinstance(value, tuple) and any(isinstance(part, (Part, Mixer, RotarySet)) for part in value):
        for number, part in enumerate(value):
            role = part.name.replace("_", " ") if isinstance(part, Part) else number
            yield from _traits(f"{name} {role}" if not isinstance(part, Mixer) else name, part)
    else:
        yield name, value
