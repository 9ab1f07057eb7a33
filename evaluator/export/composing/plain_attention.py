"""Attention from the products and the softmax it is made of, where the one operator has no kernel (float32 on GPUs).

It is the reference of the operator too: both give the same.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from evaluator.export.composing.builder import POSITIONS, Builder, root
from evaluator.models.architectures.mixers import Attention

#: Scores of positions that must not be attended to.
_NEVER = -1e30
#: Arrays of heads × positions² that exist at a time: scores, with mask, their softmax.
_SQUARES = 3


def plain_attention(mixer: Attention, builder: Builder, query: str, keys: str, values: str) -> str:
    """Return the heads' outputs, [windows, length, heads · width].

    Args:
        mixer: the attention; its queries and keys are rotated already.
        builder: the piece.
        query: [windows, length, heads · width].
        keys: [windows, length, key heads · width].
        values: the same.
    """
    builder.heads_held = _SQUARES * mixer.heads
    group, kv_heads, width = mixer.heads // mixer.kv_heads, mixer.kv_heads, mixer.width
    by_group = builder.reshape(query, [0, 0, kv_heads, group, width])
    by_group = builder.op("Transpose", by_group, perm=[0, 2, 3, 1, 4])
    turned, held = (builder.reshape(part, [0, 0, kv_heads, 1, width]) for part in (keys, values))
    turned = builder.op("Transpose", turned, perm=[0, 2, 3, 4, 1])
    held = builder.op("Transpose", held, perm=[0, 2, 3, 1, 4])
    scale = root(width) if mixer.scale is None else mixer.scale
    scores = builder.scaled(builder.op("MatMul", by_group, turned), scale)
    if mixer.softcap:
        scores = builder.op("Tanh", builder.scaled(scores, 1 / mixer.softcap))
        scores = builder.scaled(scores, mixer.softcap)
    shares = _softmax(mixer, builder, builder.op("Add", scores, _mask(mixer, builder)))
    output = builder.op("Transpose", builder.op("MatMul", shares, held), perm=[0, 3, 1, 2, 4])
    return builder.reshape(output, [0, 0, mixer.heads * width])


def _mask(mixer: Attention, builder: Builder) -> str:
    """Return 0 where a position may be attended to, else a large negative number, [length, length]."""
    first = builder.constant([0], np.int64)
    row = builder.op("Gather", builder.input(POSITIONS, TensorProto.INT64), first, axis=0)
    back = builder.op("Sub", builder.op("Transpose", row, perm=[1, 0]), row)
    never = builder.op("Less", back, builder.constant(0, np.int64))
    if mixer.window:
        far = builder.op("GreaterOrEqual", back, builder.constant(mixer.window, np.int64))
        never = builder.op("Or", never, far)
    return builder.op("Where", never, builder.constant(_NEVER), builder.constant(0))


def _softmax(mixer: Attention, builder: Builder, scores: str) -> str:
    """Return the softmax of scores, in which a head's sink takes part without a value."""
    if not mixer.sinks:
        return builder.op("Softmax", scores, axis=-1)
    sinks = builder.vector("attn_sinks", (1, mixer.kv_heads, mixer.heads // mixer.kv_heads, 1, 1))
    axes = builder.constant([-1], np.int64)
    largest = builder.op("Max", builder.op("ReduceMax", scores, axes, keepdims=1), sinks)
    powers = builder.op("Exp", builder.op("Sub", scores, largest))
    total = builder.op("ReduceSum", powers, axes, keepdims=1)
    total = builder.op("Add", total, builder.op("Exp", builder.op("Sub", sinks, largest)))
    return builder.op("Div", powers, total)
