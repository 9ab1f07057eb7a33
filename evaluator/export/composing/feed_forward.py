"""Feed-forward parts: dense ones, one expert of a mixture, and inputs per layer."""

from __future__ import annotations

from evaluator.export.composing.builder import Builder
from evaluator.export.composing.mixers import mix
from evaluator.export.composing.stream import layer_input
from evaluator.models.architectures.mixers import Experts, FeedForward, LayerInput

#: The slope and the bound of gpt-oss's activation; its files do not state them.
SLOPE, BOUND = 1.702, 7.0
#: End of the roles of tensors that stack all experts of a layer.
EXPERTS = "_exps"


@mix.register
def feed_forward(mixer: FeedForward, builder: Builder, x: str) -> str:
    """Add a dense feed-forward part; see `mix`."""
    gate, up = _gate_and_up(mixer, builder, x, mixer.suffix)
    output = builder.product(
        _inner(mixer, builder, gate, up), f"ffn_down{mixer.suffix}", builder.decoder.hidden
    )
    if mixer.weigher:
        weight = builder.reshape(builder.weight(builder.role(mixer.weigher)), [-1, 1])
        output = builder.op("Mul", output, builder.op("Sigmoid", builder.op("MatMul", x, weight)))
    return output


def expert(mixer: Experts, builder: Builder, x: str) -> str:
    """Add what one expert computes; see `mix`."""
    gate, up = _gate_and_up(mixer, builder, x, EXPERTS)
    width = mixer.latent or builder.decoder.hidden
    return builder.product(_inner(mixer, builder, gate, up), f"ffn_down{EXPERTS}", width)


def _gate_and_up(
    mixer: FeedForward | Experts, builder: Builder, x: str, suffix: str
) -> tuple[str | None, str]:
    """Return gate and up; one matrix may hold both, one above the other."""
    if not mixer.gated:
        return None, builder.product(x, f"ffn_up{suffix}")
    if builder.has(f"ffn_gate{suffix}"):
        return builder.product(x, f"ffn_gate{suffix}"), builder.product(x, f"ffn_up{suffix}")
    both = f"ffn_gate_up{suffix}" if builder.has(f"ffn_gate_up{suffix}") else f"ffn_up{suffix}"
    up = builder.product(x, both)
    rows, _ = builder.matrix_shape(both)
    gate, up = builder.split(up, [rows // 2, rows // 2])
    return gate, up


def _inner(mixer: FeedForward | Experts, builder: Builder, gate: str | None, up: str) -> str:
    """Return what enters the last product."""
    if gate is None:
        return builder.activation(up, mixer.activation)
    if mixer.activation == "swiglu_clamped":
        return _swiglu_clamped(builder, gate, up)
    if isinstance(mixer, FeedForward) and mixer.sparsity is not None:
        gate = _sparse(builder, gate, mixer.sparsity)
    gate = builder.activation(gate, mixer.activation)
    if mixer.limit is not None:
        bound = builder.constant(mixer.limit)
        gate = builder.op("Min", gate, bound)
        up = builder.op("Clip", up, builder.constant(-mixer.limit), bound)
    return builder.op("Mul", gate, up)


def _swiglu_clamped(builder: Builder, gate: str, up: str) -> str:
    """Return g · sigmoid(1.702 g) · (u + 1) with g at most 7 and u between −7 and 7."""
    bound = builder.constant(BOUND)
    gate = builder.op("Min", gate, bound)
    up = builder.op("Clip", up, builder.constant(-BOUND), bound)
    slope = builder.op("Sigmoid", builder.scaled(gate, SLOPE))
    return builder.op("Mul", builder.op("Mul", gate, slope), builder.op("Add", up, builder.constant(1)))


def _sparse(builder: Builder, gate: str, deviations: float) -> str:
    """Return what of x is above its mean plus some standard deviations, over the last axis, else 0."""
    axes = builder.constant([-1], "int64")
    mean = builder.op("ReduceMean", gate, axes, keepdims=1)
    apart = builder.op("Sub", gate, mean)
    squares = builder.op("ReduceMean", builder.op("Mul", apart, apart), axes, keepdims=1)
    deviation = builder.op("Sqrt", squares)
    return builder.op("Relu", builder.op("Sub", apart, builder.scaled(deviation, deviations)))


@mix.register
def from_layer_input(mixer: LayerInput, builder: Builder, x: str) -> str:
    """Add a product with the layer's input; see `mix`."""
    gate = builder.activation(builder.product(x, "inp_gate"), mixer.activation)
    return builder.product(builder.op("Mul", gate, layer_input(builder)), "proj")
