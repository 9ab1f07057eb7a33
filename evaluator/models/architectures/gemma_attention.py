"""What Gemma 3n and Gemma 4 have in common: rotations in windows, and layers that use earlier keys and values."""

from __future__ import annotations

from dataclasses import replace

from evaluator.models.architectures.mixers import Attention
from evaluator.models.architectures.rotary_set import RotarySet
from evaluator.models.architectures.settings import Settings
from evaluator.support.errors import SourceError

_ENDING, _BASE = "_swa", 10000.0

Kept = tuple[tuple[str, int], ...]


def windowed_rotary(settings: Settings, width: int) -> RotarySet:
    """Return the rotary embedding of windowed layers with heads of this width; no scaling applies to it.

    Raises:
        SourceError: a setting is not valid.
    """
    rotary = settings.rotary(width, ending=_ENDING, scaled=False)
    return replace(rotary, base=settings.positive(f"rope.freq_base{_ENDING}", _BASE))


def share_keys(settings: Settings, attentions: list[Attention], count: int) -> tuple[list[Attention], Kept]:
    """Let the last layers use the keys and values of the last layer before them with the same window.

    Args:
        settings: the file's.
        attentions: the attention of each layer.
        count: number of layers without keys and values of their own.

    Returns:
        The changed attentions, and name and width of the fields in which keys and values are kept.

    Raises:
        SourceError: there is no such layer.
    """
    changed, kept = list(attentions), dict[str, int]()
    first = len(attentions) - count
    for layer in range(max(first, 0), len(attentions)):
        own = attentions[layer]
        sources = [
            number for number, other in enumerate(attentions[: max(first, 0)]) if other.window == own.window
        ]
        if not sources or attentions[sources[-1]].width != own.width:
            raise SourceError(settings.file.path, f"layer {layer} has no keys to share: damaged?")
        source = attentions[sources[-1]]
        name = f"keys and values of layer {sources[-1]}"
        kept[name] = 2 * source.kv_heads * source.width
        changed[sources[-1]] = replace(source, keeps=name)
        changed[layer] = replace(own, shares=name, kv_heads=source.kv_heads)
    return changed, tuple(kept.items())
