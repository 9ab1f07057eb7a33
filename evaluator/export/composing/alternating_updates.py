"""Layers on several streams, of which one is computed and the others are predicted and corrected (Gemma 3n)."""

from __future__ import annotations

import math

import numpy as np

from evaluator.export.composing.builder import Builder
from evaluator.export.composing.mixers import mix
from evaluator.models.architectures.mixers import AlternatingUpdates
from evaluator.support.errors import ExportError


def spread(builder: Builder, x: str) -> str:
    """Return all streams behind one another, made from the first, [windows, length, streams · hidden]."""
    matrices = _matrices(builder, "altup_proj")
    others = [_as_long_as(builder, builder.op("MatMul", x, matrix), x) for matrix in matrices]
    return builder.concat(x, *others)


def merged(builder: Builder, x: str) -> str:
    """Return the mean of all streams, each brought back to the first one's space."""
    decoder = builder.decoder
    first, *others = builder.split(x, [decoder.hidden] * decoder.streams)
    matrices = _matrices(builder, "altup_unembd_proj")
    back = [
        _as_long_as(builder, builder.op("MatMul", other, matrix), first)
        for other, matrix in zip(others, matrices, strict=True)
    ]
    return builder.scaled(builder.total([first, *back]), 1 / decoder.streams)


def _matrices(builder: Builder, role: str) -> list[str]:
    """Return the matrices that a tensor stacks, each [inputs, outputs]."""
    tensor, count = builder.role(role), builder.decoder.streams - 1
    turned = builder.op("Transpose", builder.weight(tensor), perm=[0, 2, 1])
    if builder.shapes[tensor][0] != count:
        raise ExportError(
            f"tensor {tensor} has {builder.shapes[tensor][0]} matrices, the settings say {count}"
        )
    parts = builder.split(turned, [1] * count, axis=0)
    return [builder.op("Squeeze", part, builder.constant([0], np.int64)) for part in parts]


def _as_long_as(builder: Builder, x: str, reference: str) -> str:
    """Return x with the length of `reference`, position by position."""
    axes = builder.constant([-1], np.int64)
    wanted, own = (builder.op("ReduceL2", value, axes, keepdims=1) for value in (reference, x))
    return builder.op("Div", builder.op("Mul", x, wanted), own)


@mix.register
def alternating_updates(mixer: AlternatingUpdates, builder: Builder, x: str) -> str:
    """Add a whole layer; see `mix`. x and the output are all streams, [windows, length, streams · hidden]."""
    hidden, count = builder.decoder.hidden, mixer.streams
    stacked = builder.reshape(x, [0, 0, count, hidden])
    predicted = _predicted(mixer, builder, x, stacked)
    streams = builder.split(builder.reshape(predicted, [0, 0, count * hidden]), [hidden] * count)
    active = streams[mixer.active]
    activated = _activated(mixer, builder, active)
    corrected = _corrected(mixer, builder, predicted, active, activated)
    parts = builder.split(builder.reshape(corrected, [0, 0, count * hidden]), [hidden] * count)
    entering = builder.op("Mul", parts[mixer.active], builder.vector("altup_correct_scale"))
    change = builder.norm(mix(mixer.layer_input, builder, entering), "post_norm")
    return builder.concat(parts[0], *(builder.op("Add", part, change) for part in parts[1:]))


def _activated(mixer: AlternatingUpdates, builder: Builder, active: str) -> str:
    """Return the active stream behind attention, a narrow product beside it, and the feed-forward part."""
    normed = builder.norm(active, "attn_norm")
    narrow = builder.product(builder.product(normed, "laurel_l"), "laurel_r")
    beside = builder.op("Add", builder.norm(narrow, "laurel_post_norm"), normed)
    attended = builder.norm(mix(mixer.attention, builder, normed), "post_attention_norm")
    both = builder.total([attended, active, beside])
    both = builder.scaled(both, 1 / math.sqrt(2))
    inner = mix(mixer.feed_forward, builder, builder.norm(both, "ffn_norm"))
    return builder.op("Add", both, builder.norm(inner, "post_ffw_norm"))


def _coefficients(mixer: AlternatingUpdates, builder: Builder, x: str, role: str) -> str:
    """Return coefficients that depend on a stream, [windows, length, rows of the role's matrix]."""
    routed = builder.scaled(builder.norm(x, "altup_router_norm"), 1 / builder.decoder.hidden)
    kinds = builder.op("Tanh", builder.product(routed, "altup_router"))
    return builder.product(kinds, role)


def _predicted(mixer: AlternatingUpdates, builder: Builder, x: str, stacked: str) -> str:
    """Return predictions of all streams, [windows, length, streams, hidden]."""
    hidden, count = builder.decoder.hidden, mixer.streams
    active = builder.split(x, [hidden] * count)[mixer.active]
    every = _coefficients(mixer, builder, active, "altup_predict_coef")
    every = builder.reshape(every, [0, 0, count, count])
    return builder.op("Add", builder.op("MatMul", every, stacked), stacked)


def _corrected(
    mixer: AlternatingUpdates, builder: Builder, predicted: str, active: str, activated: str
) -> str:
    """Return corrected streams, [windows, length, streams, hidden]."""
    every = _coefficients(mixer, builder, activated, "altup_correct_coef")
    every = builder.op("Add", every, builder.constant(1))
    every = builder.reshape(every, [0, 0, mixer.streams, 1])
    news = builder.reshape(builder.op("Sub", activated, active), [0, 0, 1, builder.decoder.hidden])
    return builder.op("Add", builder.op("Mul", news, every), predicted)
