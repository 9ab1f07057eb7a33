"""What computes a change of the residual stream: one function per kind of mixer."""

from __future__ import annotations

from functools import singledispatch

from evaluator.export.composing.builder import Builder
from evaluator.models.architectures.mixers import Mixer
from evaluator.support.errors import ExportError


@singledispatch
def mix(mixer: Mixer, builder: Builder, x: str) -> str:
    """Add the nodes of a mixer to a piece.

    Args:
        mixer: what is computed.
        builder: the piece.
        x: the mixer's input, float32 [windows, length, hidden].

    Returns:
        Its output, float32 [windows, length, hidden].

    Raises:
        ExportError: the mixer is not known, or a tensor is missing.
    """
    raise ExportError(f"layer {builder.layer}: {type(mixer).__name__} with {x} is not known")
