"""The residual stream, with what else some models carry from layer to layer.

[main streams | kept keys and values | inputs per layer, the next one first], in this order.
"""

from __future__ import annotations

from evaluator.export.composing.builder import Builder
from evaluator.export.piece_model import STREAM
from evaluator.models.architectures.description import Decoder

MAIN, LAYER_INPUTS = "main", "layer inputs"


def fields(decoder: Decoder) -> dict[str, int]:
    """Return the name and width of everything in the stream."""
    widths = {MAIN: decoder.hidden * decoder.streams, **dict(decoder.kept)}
    if decoder.layer_inputs:
        widths[LAYER_INPUTS] = decoder.layer_inputs.width * len(decoder.layers)
    return widths


def stream_width(decoder: Decoder) -> int:
    """Return the width of the whole stream."""
    return sum(fields(decoder).values())


def open_stream(builder: Builder) -> str:
    """Take the stream apart into what the builder carries, and return the main streams."""
    sizes = fields(builder.decoder)
    builder.traces.declare(STREAM, (None, None, sum(sizes.values())))
    builder.carried = dict(zip(sizes, builder.split(STREAM, list(sizes.values())), strict=True))
    return builder.carried[MAIN]


def close_stream(builder: Builder, main: str) -> str:
    """Return the stream with its main part replaced."""
    builder.carried[MAIN] = main
    return builder.concat(*builder.carried.values())


def layer_input(builder: Builder) -> str:
    """Return the input of the builder's layer, and move it behind those of the layers that follow.

    The pieces of all layers are then the same.
    """
    assert builder.decoder.layer_inputs is not None
    width, count = builder.decoder.layer_inputs.width, len(builder.decoder.layers)
    if count == 1:
        return builder.carried[LAYER_INPUTS]
    first, rest = builder.split(builder.carried[LAYER_INPUTS], [width, (count - 1) * width])
    builder.carried[LAYER_INPUTS] = builder.concat(rest, first)
    return first
