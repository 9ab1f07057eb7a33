"""Attention of grouped heads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from evaluator.export.composing.builder import POSITIONS, Builder, root
from evaluator.export.composing.mixers import mix
from evaluator.export.composing.plain_attention import plain_attention
from evaluator.export.fusion.attention import ATTENTION, SEQLENS, TOTAL_LENGTH, rotary_names
from evaluator.export.fusion.fuse import Heads
from evaluator.export.fusion.norms import CONTRIB
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.mixers import Attention, LatentAttention, Temperature
from evaluator.models.architectures.rotary_set import TOGETHER

#: Beginning of the names of inputs with factors of queries by position.
TEMPERATURE = "temperature_"


@mix.register
def attention(mixer: Attention, builder: Builder, x: str) -> str:
    """Add attention; see `mix`."""
    query, keys, values, gate = _projections(mixer, builder, x)
    output = attend(mixer, builder, query, keys, values)
    if gate:
        output = builder.op("Mul", output, builder.op("Sigmoid", gate))
    if mixer.head_gate:
        gate = builder.product(x, mixer.head_gate, mixer.heads)
        output = _gated_heads(mixer, builder, output, gate)
    return builder.product(output, "attn_output", builder.decoder.hidden)


def _gated_heads(mixer: Attention, builder: Builder, output: str, gate: str) -> str:
    """Return each head of the output times the sigmoid of its gate, [windows, length, heads]."""
    width = mixer.value_width or mixer.width
    by_head = builder.reshape(output, [0, 0, mixer.heads, width])
    opened = builder.reshape(builder.op("Sigmoid", gate), [0, 0, mixer.heads, 1])
    return builder.reshape(builder.op("Mul", by_head, opened), [0, 0, mixer.heads * width])


def _projections(mixer: Attention, builder: Builder, x: str) -> tuple[str, str, str, str | None]:
    """Return queries, keys, values, [windows, length, heads · width] each, and the gate."""
    heads, kv_heads, width = mixer.heads, mixer.kv_heads, mixer.width
    query_size, key_size = heads * width * (2 if mixer.gated else 1), kv_heads * width
    value_size = kv_heads * (mixer.value_width or width)
    gate = None
    if builder.has("attn_qkv"):
        sizes = [query_size, key_size, value_size]
        query, keys, values = builder.split(builder.product(x, "attn_qkv", sum(sizes)), sizes)
    elif mixer.shares:
        query = builder.product(x, "attn_q", query_size)
        keys, values = builder.split(builder.carried[mixer.shares], [key_size, value_size])
    else:
        query, keys = builder.product(x, "attn_q", query_size), builder.product(x, "attn_k", key_size)
        # Some layers use the keys, normalized, as values too.
        values = keys
        if builder.has("attn_v") or not mixer.value_norm:
            values = builder.product(x, "attn_v", value_size)
    if mixer.gated:
        both = builder.reshape(query, [0, 0, heads, 2 * width])
        query, gate = (builder.reshape(part, [0, 0, -1]) for part in builder.split(both, [width, width]))
    query = _normed(mixer, builder, query, "attn_q_norm", heads)
    if not mixer.shares:
        keys = _normed(mixer, builder, keys, "attn_k_norm", kv_heads)
        if mixer.value_norm:
            values = per_head(builder, values, kv_heads, width)
        if mixer.keeps:
            builder.carried[mixer.keeps] = builder.concat(keys, values)
    return query, keys, values, gate


def _normed(mixer: Attention, builder: Builder, x: str, role: str, heads: int) -> str:
    """Return queries or keys with their norm, and rotated if the attention node cannot do it."""
    if mixer.norm_after_rotary:
        x = _rotated_flat(mixer, builder, x, heads)
    match mixer.norm:
        case "head":
            x = per_head(builder, x, heads, mixer.width, role)
        case "plain":
            x = per_head(builder, x, heads, mixer.width)
        case "all":
            x = builder.norm(x, role)
    if not mixer.norm_after_rotary and _rotates_before(mixer, builder):
        x = _rotated_flat(mixer, builder, x, heads)
    return x


def _rotated_flat(mixer: Attention, builder: Builder, x: str, heads: int) -> str:
    """Return queries or keys, [windows, length, heads · width], rotated."""
    if mixer.rotary is None:
        return x
    by_head = builder.reshape(x, [0, 0, heads, mixer.width])
    turned = rotated(builder, by_head, mixer.rotary, heads=heads, width=mixer.width)
    return builder.reshape(turned, [0, 0, -1])


def _rotates_before(mixer: Attention, builder: Builder) -> bool:
    """Return whether queries and keys are rotated before they enter the attention node.

    The node rotates only multiples of `TOGETHER` dimensions.
    """
    if mixer.rotary is None:
        return False
    return (
        not builder.fused
        or mixer.norm_after_rotary
        or builder.decoder.rotary[mixer.rotary].width % TOGETHER != 0
    )


def per_head(builder: Builder, x: str, heads: int, width: int, role: str | None = None) -> str:
    """Return a norm of each head of x, [windows, length, heads · width], with the gain of `role` or none.

    A gain may have a row per head.
    """
    x = builder.reshape(x, [0, 0, heads, width])
    if role is None:
        y = builder.plain_norm(x, width)
    elif builder.shapes.get(builder.role(role)) == (width,):
        y = builder.norm(x, role)
    else:
        y = builder.op("Mul", builder.plain_norm(x, width), builder.vector(role, (heads, width)))
    return builder.reshape(y, [0, 0, -1])


def rotated(builder: Builder, x: str, rotary: int, *, heads: int, width: int) -> str:
    """Return heads, [windows, length, heads, width], with the first dimensions of each rotated."""
    chosen = builder.decoder.rotary[rotary]
    heads_first = builder.op("Transpose", x, perm=[0, 2, 1, 3])
    y = builder.op(
        "RotaryEmbedding",
        heads_first,
        builder.input(POSITIONS, TensorProto.INT64),
        *(builder.input(name) for name in rotary_names(rotary)),
        domain=CONTRIB,
        interleaved=int(chosen.interleaved),
        num_heads=heads,
        rotary_embedding_dim=chosen.width if chosen.width < width else 0,
    )
    return builder.op("Transpose", y, perm=[0, 2, 1, 3])


def attend(mixer: Attention, builder: Builder, query: str, keys: str, values: str) -> str:
    """Return the heads' outputs, [windows, length, heads · value width].

    The attention node wants values as wide as keys: narrower ones get zeros.
    """
    builder.traces.expect(query, mixer.heads * mixer.width)
    if mixer.value_width:
        values = _resized(builder, values, mixer.kv_heads, mixer.value_width, mixer.width)
    output = _attention_node(mixer, builder, query, keys, values)
    if mixer.value_width:
        output = _resized(builder, output, mixer.heads, mixer.width, mixer.value_width)
    return output


def _resized(builder: Builder, x: str, heads: int, width: int, new: int) -> str:
    """Return heads, [windows, length, heads · width], with zeros added or the last dimensions left away."""
    by_head = builder.reshape(x, [0, 0, heads, width])
    if new > width:
        by_head = builder.op("Pad", by_head, builder.constant([0] * 7 + [new - width], np.int64))
    else:
        by_head, *_ = builder.split(by_head, [new, width - new])
    return builder.reshape(by_head, [0, 0, heads * new])


def _attention_node(mixer: Attention, builder: Builder, query: str, keys: str, values: str) -> str:
    """Return the heads' outputs, [windows, length, heads · width]."""
    if mixer.temperature:
        query = builder.op("Mul", query, builder.input(_temperature_name(mixer.temperature)))
    if not builder.fused:
        return plain_attention(mixer, builder, query, keys, values)
    rotates = mixer.rotary is not None and not _rotates_before(mixer, builder)
    inputs = [query, keys, values, "", ""]
    inputs += [builder.input(SEQLENS, TensorProto.INT32), builder.input(TOTAL_LENGTH, TensorProto.INT32)]
    interleaved = False
    if rotates and mixer.rotary is not None:
        inputs += [builder.input(name) for name in rotary_names(mixer.rotary)]
        interleaved = builder.decoder.rotary[mixer.rotary].interleaved
    if mixer.sinks:
        inputs += [""] * (11 - len(inputs)) + [builder.vector("attn_sinks", (mixer.heads,))]
    builder.heads = Heads(mixer.kv_heads, mixer.width, mixer.window)
    builder.heads_held = mixer.heads if mixer.softcap or mixer.sinks else 0
    return builder.node(
        ATTENTION,
        *inputs,
        domain=CONTRIB,
        outputs=3,  # with keys and values, the kernel for the CPU computes scores block by block
        num_heads=mixer.heads,
        kv_num_heads=mixer.kv_heads,
        scale=root(mixer.width) if mixer.scale is None else mixer.scale,
        softcap=mixer.softcap,
        local_window_size=mixer.window or -1,
        do_rotary=int(rotates),
        rotary_interleaved=int(interleaved),
    )[0]


def _temperature_name(temperature: Temperature) -> str:
    """Return the name of the input with a temperature's factors."""
    return f"{TEMPERATURE}{temperature.factor}_{temperature.span}_{temperature.offset}"


def temperature_inputs(decoder: Decoder, length: int) -> dict[str, npt.NDArray[np.float32]]:
    """Return the factors of queries by position, float32 [length, 1], by the names of their inputs."""
    found: dict[str, npt.NDArray[np.float32]] = {}
    for name, heat in temperatures(decoder).items():
        steps = np.floor((np.arange(length) + heat.offset) / heat.span)
        found[name] = (1 + heat.factor * np.log1p(steps))[:, None].astype(np.float32)
    return found


def temperatures(decoder: Decoder) -> dict[str, Temperature]:
    """Return all temperatures by the names of their inputs."""
    mixers = (mixer for layer in decoder.layers for part in layer for mixer in part.mixers)
    kinds = (mixer for mixer in mixers if isinstance(mixer, (Attention, LatentAttention)))
    return {_temperature_name(item.temperature): item.temperature for item in kinds if item.temperature}
