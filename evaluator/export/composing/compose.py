"""Build all pieces of a described model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from onnx import TensorProto

from evaluator.export.composing import (  # noqa: F401  (registers the mixers)
    alternating_updates,
    attention,
    latent_attention,
    recurrent,
)
from evaluator.export.composing.builder import Builder, Shapes
from evaluator.export.composing.feed_forward import EXPERTS, expert
from evaluator.export.composing.mixers import mix
from evaluator.export.composing.stream import LAYER_INPUTS, close_stream, fields, open_stream
from evaluator.export.cutter import Cut, ExpertsCut
from evaluator.export.piece_model import LOGITS, MIXTURE, OUTPUT, STREAM
from evaluator.models.architectures import EMBEDDING
from evaluator.models.architectures.description import Decoder, Part
from evaluator.models.architectures.mixers import Experts, FeedForward, LayerInput
from evaluator.support.errors import ExportError

_STREAM = {STREAM: TensorProto.FLOAT}
_ROUTER = "ffn_gate_inp"
#: A second embedding, whose rows hold a token's inputs of all layers, and what is added to them.
_LAYER_EMBEDDING, _LAYER_PROJECTION, _LAYER_NORM = (
    "per_layer_token_embd.weight",
    "per_layer_model_proj",
    "per_layer_proj_norm",
)


def compose(decoder: Decoder, shapes: Shapes, *, fused: bool = True) -> list[Cut]:
    """Return a model's pieces in order: embedding, parts of layers, final norm.

    Args:
        decoder: the model.
        shapes: the shapes of its tensors.
        fused: whether attention is one operator, or the products and the softmax that it is made of.

    Raises:
        ExportError: a tensor is missing, or something in the description is not known.
    """
    pieces = [_embedding(decoder, shapes)]
    for layer, parts in enumerate(decoder.layers):
        for part in parts:
            make = _mixture if part.experts else _part
            pieces.append(make(Builder(decoder, layer, shapes, fused=fused), part))
    return [*pieces, _final_norm(decoder, shapes)]


def used_tensors(pieces: list[Cut]) -> set[str]:
    """Return the names of all tensors that pieces read."""
    used: set[str] = set()
    for piece in pieces:
        used |= {slot.parameter for slot in piece.slots.values()}
        if piece.experts:
            used |= {slot.parameter for slot in piece.experts.expert.slots.values()}
            used |= {slot.parameter for slot in piece.experts.closing.slots.values()}
            used |= {bias} if (bias := piece.experts.selection_bias) else set()
    return used


def _cut(
    builder: Builder, part: Part | str, outputs: Mapping[str, str], inputs: Mapping[str, int] = _STREAM
) -> Cut:
    """Return what was built as a piece."""
    name = part if isinstance(part, str) else part.name
    alone = isinstance(part, Part) and all(
        isinstance(item, (FeedForward, LayerInput)) for item in part.mixers
    )
    return Cut(
        name,  # type: ignore[arg-type]
        builder.layer,
        builder.model(outputs, inputs),
        dict(builder.slots),
        tuple(builder.inputs),
        builder.heads,
        builder.heads_held,
        positionwise=alone or isinstance(part, str),
        tables=frozenset(builder.tables),
        wide=builder.wide,
        states=dict(builder.states),
    )


def _embedding(decoder: Decoder, shapes: Shapes) -> Cut:
    builder = Builder(decoder, -1, shapes)
    builder.traces.declare(STREAM, (None, None))
    x = builder.op("Gather", builder.weight(EMBEDDING, rows=True), STREAM, axis=0)
    builder.traces.expect(x, decoder.hidden)
    x = builder.scaled(x, decoder.embedding_scale)
    if decoder.embedding_norm:
        x = builder.norm(x, decoder.embedding_norm)
    sizes = fields(decoder)
    if decoder.layer_inputs:
        builder.carried[LAYER_INPUTS] = _layer_inputs(builder, x)
    if decoder.streams > 1:
        x = alternating_updates.spread(builder, x)
    for name, width in decoder.kept:
        first, *_ = builder.split(x, [1, decoder.hidden * decoder.streams - 1])
        builder.carried[name] = builder.concat(*[builder.scaled(first, 0.0)] * width)
    joined = builder.concat(x, *(builder.carried[name] for name in list(sizes)[1:]))
    builder.traces.expect(joined, sum(sizes.values()))
    return _cut(builder, "embedding", {joined: OUTPUT}, {STREAM: TensorProto.INT64})


def _layer_inputs(builder: Builder, x: str) -> str:
    """Return the inputs of all layers, [windows, length, layers · width]."""
    decoder = builder.decoder
    assert decoder.layer_inputs is not None
    width, count = decoder.layer_inputs.width, len(decoder.layers)
    table = builder.weight(_LAYER_EMBEDDING, rows=True)
    looked_up = builder.scaled(builder.op("Gather", table, STREAM, axis=0), math.sqrt(width))
    made = builder.scaled(builder.product(x, _LAYER_PROJECTION), 1 / math.sqrt(decoder.hidden))
    made = builder.norm(builder.reshape(made, [0, 0, count, width]), _LAYER_NORM)
    total = builder.op("Add", builder.reshape(made, [0, 0, count * width]), looked_up)
    return builder.scaled(total, 1 / math.sqrt(2))


def _entering(builder: Builder, part: Part, x: str, norm: str | None) -> str:
    """Return what enters a part's mixers, from the stream x."""
    if part.reads:
        return builder.carried[part.reads]
    entering = builder.norm(x, norm) if norm else x
    if part.keeps:
        builder.carried[part.keeps] = entering
    return entering


def _mixed(builder: Builder, part: Part, x: str, outputs: list[str]) -> list[str]:
    """Return `outputs` and those of the part's mixers without experts, from the stream x."""
    entering = _entering(builder, part, x, part.norm)
    for mixer in part.mixers:
        if isinstance(mixer, Experts):
            continue
        output = mix(mixer, builder, entering)
        outputs.append(builder.norm(output, mixer.post_norm) if mixer.post_norm else output)
    return outputs


def _added(builder: Builder, part: Part, x: str, outputs: list[str]) -> str:
    """Return the stream behind a part whose mixers have these outputs."""
    change = builder.total(outputs)
    if part.post_norm:
        change = builder.norm(change, part.post_norm)
    change = builder.scaled(change, part.scale)
    builder.traces.expect(change, builder.decoder.hidden * builder.decoder.streams)
    y = builder.op("Add", x, change) if part.residual else change
    return builder.op("Mul", y, builder.vector(part.output_scale)) if part.output_scale else y


def _part(builder: Builder, part: Part) -> Cut:
    x = open_stream(builder)
    y = _added(builder, part, x, _mixed(builder, part, x, []))
    return _cut(builder, part, {close_stream(builder, y): OUTPUT})


def _mixture(opening: Builder, part: Part) -> Cut:
    """Build a part with experts: what enters router and experts, an expert, and what follows them."""
    experts = part.experts
    if experts is None or not (part.norm or experts.norm or part.reads):
        raise ExportError(f"the experts of layer {opening.layer} have no norm")
    decoder, shapes, layer = opening.decoder, opening.shapes, opening.layer
    x = open_stream(opening)
    entering = _entering(opening, part, x, experts.norm or part.norm)
    logits = _logits(opening, experts, x, entering)
    if experts.latent:
        entering = opening.product(entering, "ffn_latent_down", experts.latent)
    outputs = {entering: OUTPUT, logits: LOGITS}
    _check_stacks(opening, experts.count)
    inner = (None, None, experts.latent or decoder.hidden)
    one = Builder(decoder, layer, _of_one_expert(shapes))
    one.traces.declare(STREAM, inner)
    output = expert(experts, one, STREAM)
    # Its weights and the opening's go together.
    closing = Builder(decoder, layer, shapes, "closing", fused=opening.fused)
    x = open_stream(closing)
    closing.traces.declare(MIXTURE, inner)
    mixture = closing.product(MIXTURE, "ffn_latent_up") if experts.latent else MIXTURE
    mixture = closing.norm(mixture, experts.post_norm) if experts.post_norm else mixture
    y = _added(closing, part, x, _mixed(closing, part, x, [mixture]))
    both = {STREAM: TensorProto.FLOAT, MIXTURE: TensorProto.FLOAT}
    bias = experts.selection_bias and opening.role(experts.selection_bias, "bias")
    found = ExpertsCut(
        _cut(one, "feed_forward", {output: OUTPUT}),
        _cut(closing, "feed_forward", {close_stream(closing, y): OUTPUT}, both),
        experts,
        bias if bias in shapes else None,
    )
    return replace(_cut(opening, part.name, outputs), experts=found)


def _check_stacks(builder: Builder, count: int) -> None:
    """Check that the layer's tensors with something for each expert have `count` of it.

    Raises:
        ExportError: one has not.
    """
    own = [name for name in builder.shapes if name.startswith(f"blk.{builder.layer}.")]
    for name in own:
        if (f"{EXPERTS}." in name or name.endswith("exp_probs_b.bias")) and builder.shapes[name][0] != count:
            raise ExportError(f"tensor {name} is {builder.shapes[name]}, the metadata say {count} experts")


def _of_one_expert(shapes: Shapes) -> Shapes:
    """Return shapes in which tensors that stack all experts have that of a single one."""
    return {name: (shape[1:] or (1,)) if f"{EXPERTS}." in name else shape for name, shape in shapes.items()}


def _logits(builder: Builder, experts: Experts, x: str, entering: str) -> str:
    """Return the router's logits, [windows, length, experts]."""
    if experts.router_gain is None:
        return builder.product(entering, _ROUTER, experts.count)
    hidden = builder.decoder.hidden
    y = builder.scaled(builder.plain_norm(x, hidden), 1 / math.sqrt(hidden))
    y = builder.op("Mul", y, builder.vector(experts.router_gain, kind="scale"))
    return builder.product(y, _ROUTER, experts.count)


def _final_norm(decoder: Decoder, shapes: Shapes) -> Cut:
    builder = Builder(decoder, -1, shapes)
    x = open_stream(builder)
    if decoder.streams > 1:
        x = alternating_updates.merged(builder, x)
    y = builder.scaled(builder.norm(x, decoder.output_norm), decoder.logit_scale)
    return _cut(builder, "norm", {y: OUTPUT})
