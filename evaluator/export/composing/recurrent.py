"""Layers with a state that is carried from token to token."""

from __future__ import annotations

import numpy as np

from evaluator.export.composing.builder import Builder
from evaluator.export.composing.mixers import mix
from evaluator.export.fusion.norms import CONTRIB
from evaluator.models.architectures.mixers import DeltaNet, Mamba, ShortConvolution

#: Arrays as wide as the widest matrix that exist at a time: measured, and somewhat more.
_WIDE_DELTA, _WIDE = 9, 6
#: Names of the nodes with a state; a layer has at most one of each.
CONVOLVED, RECURRENT = "conv_state", "recurrent_state"


@mix.register
def delta_net(mixer: DeltaNet, builder: Builder, x: str) -> str:
    """Add a gated DeltaNet; see `mix`.

    Per head and token, with decay g and rate β: S ← exp(g) S, S ← S + β k (v − Sᵀk)ᵀ, output Sᵀq (Yang et al. 2024,
    Gated Delta Networks).
    """
    builder.wide = _WIDE_DELTA
    key_size, value_size = mixer.key_heads * mixer.key_width, mixer.value_heads * mixer.value_width
    mixed = convolved(builder, builder.product(x, "attn_qkv"), "silu")
    gate = builder.product(x, "attn_gate")
    query, keys, values = builder.split(mixed, [key_size, key_size, value_size])
    rate, decay = _rate_and_decay(mixer, builder, x)
    query, keys = (_repeated_unit(mixer, builder, part) for part in (query, keys))
    builder.states[RECURRENT] = (mixer.value_heads, mixer.key_width, mixer.value_width)
    output, _ = builder.node(
        "LinearAttention",
        query,
        keys,
        values,
        "",
        builder.op("Mul", builder.softplus(decay), builder.vector("ssm_a", (mixer.value_heads,))),
        builder.op("Sigmoid", rate),
        domain=CONTRIB,
        outputs=2,
        name=RECURRENT,
        update_rule="gated_delta",
        q_num_heads=mixer.value_heads,
        kv_num_heads=mixer.value_heads,
    )
    output = builder.reshape(output, [0, 0, mixer.value_heads, mixer.value_width])
    output = builder.reshape(builder.root_mean_square(output, builder.vector("ssm_norm")), [0, 0, -1])
    return builder.product(builder.op("Mul", output, builder.activation(gate, "silu")), "ssm_out")


def _rate_and_decay(mixer: DeltaNet, builder: Builder, x: str) -> tuple[str, str]:
    """Return rates and decays before their functions, [windows, length, value heads] each."""
    if not mixer.joint_beta:
        rate, decay = builder.product(x, "ssm_beta"), builder.product(x, "ssm_alpha")
    else:
        share = mixer.value_heads // mixer.key_heads
        both = builder.reshape(builder.product(x, "ssm_ba"), [0, 0, mixer.key_heads, 2 * share])
        rate, decay = (builder.reshape(part, [0, 0, -1]) for part in builder.split(both, [share, share]))
    return rate, builder.op("Add", decay, builder.vector("ssm_dt", kind="bias"))


def _repeated_unit(mixer: DeltaNet, builder: Builder, x: str) -> str:
    """Return queries or keys as unit vectors, repeated for all value heads."""
    x = builder.reshape(x, [0, 0, mixer.key_heads, mixer.key_width])
    axes = builder.constant([-1], np.int64)
    squares = builder.op("ReduceSumSquare", x, axes, keepdims=1)
    length = builder.op("Sqrt", builder.op("Add", squares, builder.constant(builder.decoder.epsilon)))
    x = builder.op("Div", x, length)
    times = mixer.value_heads // mixer.key_heads
    if mixer.joint_beta and times > 1:  # value heads with the same keys stand side by side
        x = builder.reshape(x, [0, 0, mixer.key_heads, 1, mixer.key_width])
        x = builder.concat(*[x] * times, axis=3)
    else:
        x = builder.concat(*[x] * times, axis=2)
    return builder.reshape(x, [0, 0, mixer.value_heads * mixer.key_width])


def convolved(builder: Builder, x: str, activation: str) -> str:
    """Return a causal convolution of each channel of x, [windows, length, channels], over the tokens before."""
    kernel = builder.vector("ssm_conv1d")
    channels, taps = builder.matrix_shape("ssm_conv1d")
    bias = builder.vector("ssm_conv1d", kind="bias") if builder.has("ssm_conv1d", "bias") else ""
    return convolution(builder, x, kernel, (channels, taps), bias, activation)


def convolution(
    builder: Builder, x: str, kernel: str, shape: tuple[int, int], bias: str = "", activation: str = "none"
) -> str:
    """Return a causal convolution with a kernel of the shape (channels, taps)."""
    channels, taps = shape
    builder.states[CONVOLVED] = (taps - 1, channels)
    return builder.node(
        "CausalConvWithState",
        x,
        builder.reshape(kernel, [channels, 1, taps]),
        *([bias] if bias else []),
        domain=CONTRIB,
        outputs=2,
        name=CONVOLVED,
        ndim=1,
        channels_last=1,
        activation=activation,
    )[0]


@mix.register
def mamba(mixer: Mamba, builder: Builder, x: str) -> str:
    """Add a state space layer; see `mix`.

    Per head and token, with step Δ: S ← exp(Δ a) S + Δ B xᵀ, output SᵀC + D x (Dao and Gu 2024, Mamba-2).
    """
    builder.wide = _WIDE
    inner, shared = mixer.heads * mixer.width, mixer.groups * mixer.state
    sizes = [inner, inner + 2 * shared, mixer.heads]
    gate, mixed, step = builder.split(builder.product(x, "ssm_in"), sizes)
    values, keys, query = builder.split(convolved(builder, mixed, "silu"), [inner, shared, shared])
    step = builder.softplus(builder.op("Add", step, builder.vector("ssm_dt", kind="bias")))
    by_head = builder.reshape(values, [0, 0, mixer.heads, mixer.width])
    stepped = builder.op("Mul", by_head, builder.reshape(step, [0, 0, mixer.heads, 1]))
    builder.states[RECURRENT] = (mixer.heads, mixer.state, mixer.width)
    output, _ = builder.node(
        "LinearAttention",
        _for_heads(mixer, builder, query),
        _for_heads(mixer, builder, keys),
        builder.reshape(stepped, [0, 0, inner]),
        "",
        builder.op("Mul", step, builder.vector("ssm_a", (mixer.heads,))),
        domain=CONTRIB,
        outputs=2,
        name=RECURRENT,
        update_rule="gated",
        q_num_heads=mixer.heads,
        kv_num_heads=mixer.heads,
        scale=1.0,
    )
    past = builder.op("Mul", by_head, builder.vector("ssm_d", (mixer.heads, 1)))
    output = builder.op("Add", output, builder.reshape(past, [0, 0, inner]))
    output = builder.op("Mul", output, builder.activation(gate, "silu"))
    if mixer.norm:
        width = inner // mixer.groups
        output = builder.plain_norm(builder.reshape(output, [0, 0, mixer.groups, width]), width)
        output = builder.op("Mul", builder.reshape(output, [0, 0, inner]), builder.vector("ssm_norm"))
    return builder.product(output, "ssm_out")


def _for_heads(mixer: Mamba, builder: Builder, x: str) -> str:
    """Return the groups' vectors, [windows, length, groups · state], repeated for the heads of each group."""
    x = builder.reshape(x, [0, 0, mixer.groups, 1, mixer.state])
    x = builder.concat(*[x] * (mixer.heads // mixer.groups), axis=3)
    return builder.reshape(x, [0, 0, mixer.heads * mixer.state])


@mix.register
def short_convolution(mixer: ShortConvolution, builder: Builder, x: str) -> str:
    """Add a gated short convolution; see `mix`. Its output is c · conv(b · x)."""
    builder.wide = _WIDE
    size = builder.decoder.hidden
    before, after, values = builder.split(builder.product(x, "shortconv.in_proj"), [size] * 3)
    kernel = builder.vector("shortconv.conv")
    mixed = convolution(builder, builder.op("Mul", before, values), kernel, (size, mixer.kernel))
    return builder.product(builder.op("Mul", after, mixed), "shortconv.out_proj")
