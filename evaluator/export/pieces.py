"""Cut a graph at the residual stream into pieces that run one by one, with their weights as inputs.

A layer is cut into attention and feed-forward part where the graph allows it, and the feed-forward part of a mixture
into the norm and what one expert computes. Because weights are inputs, pieces of the same structure share a model
whatever layer they belong to, and one session serves all layers and all variants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from evaluator.export.composing.compose import compose
from evaluator.export.cutter import Cut, Cutter, Part
from evaluator.export.exact.graph import Graph
from evaluator.export.fusion.fuse import Heads
from evaluator.export.fusion.half import halve
from evaluator.export.fusion.norms import split_residuals
from evaluator.export.fusion.positionwise import is_positionwise
from evaluator.export.fusion.uses import load_fused, load_plain
from evaluator.export.piece_model import (
    add_squares,
    multiply_as_stored,
    weights_as_inputs,
)
from evaluator.export.skeleton import Slot
from evaluator.models.architectures import mixers
from evaluator.support.errors import ExportError

_PART_NAMES = {"attention": ", attention", "feed_forward": ", feed-forward part", "layer": ""}


@dataclass(frozen=True)
class Weight:
    """A weight's input: its slot, whether it is passed as stored in the file or transposed, and if as float16."""

    slot: Slot
    as_stored: bool
    half: bool

    @property
    def n_bytes(self) -> int:
        """Bytes of the values that are passed."""
        return self.slot.n_bytes // 2 if self.half else self.slot.n_bytes


class _Weighted:
    """The size of the weights of a piece or of one expert."""

    weights: Mapping[str, Weight]

    @property
    def n_bytes(self) -> int:
        """Bytes of its weights as they are passed."""
        return sum(weight.n_bytes for weight in self.weights.values())

    @property
    def n_weights(self) -> int:
        """Number of its weights; a piece's experts are not counted."""
        return sum(weight.slot.n_values for weight in self.weights.values())


@dataclass(frozen=True)
class Experts(_Weighted):
    """What one expert of a layer computes.

    Attributes:
        model: serialized ONNX, like a piece's: `stream` and `output` are float32 [1, tokens, hidden].
        weights: name of a weight's input → the weight.
        closing: serialized ONNX of what follows the experts; inputs `stream` and `mixture`, output `output`. Its
            weights are among the piece's.
        described: how they are chosen.
        selection_bias: tensor with a bias of the choice.
    """

    model: bytes = field(repr=False)
    weights: Mapping[str, Weight]
    closing: bytes = field(repr=False)
    described: mixers.Experts
    selection_bias: str | None


@dataclass(frozen=True)
class Piece(_Weighted):
    """A part of a model between two points of the residual stream.

    Attributes:
        part: which part of the model.
        layer: the layer; −1 for embedding and final norm.
        model: serialized ONNX, equal for pieces of the same structure. Inputs: `stream` float32 [windows, length,
            hidden] (int64 [windows, length] for the embedding), the weights, and `inputs`. Output: `output`.
        weights: name of a weight's input → the weight.
        inputs: names of the other inputs: rotary tables, lengths, mask.
        positionwise: whether positions do not affect one another, so that they may be run in any groups.
        heads: sizes of keys and values if the piece can be run chunk by chunk, see `with_past`.
        heads_held: number of heads of which onnxruntime's kernel for the CPU holds all scores, with soft caps or
            sinks; else 0.
        experts: the experts of a mixture. The piece's output is then what enters them, and `logits` the router's.
        tables: weights of which only the rows of a text's tokens are needed.
        wide: arrays as wide as its widest matrix that exist while it runs, 0 for the usual number.
        last: whether the layer ends with it.
    """

    part: Part
    layer: int
    model: bytes = field(repr=False)
    weights: Mapping[str, Weight]
    inputs: tuple[str, ...]
    positionwise: bool
    heads: Heads | None = None
    heads_held: int = 0
    experts: Experts | None = None
    tables: frozenset[str] = frozenset()
    wide: int = 0
    last: bool = True

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"layer {self.layer}{_PART_NAMES[self.part]}" if self.layer >= 0 else self.part


def cut(graph: Graph, *, fused: bool = True, half: bool = False, squares: bool = False) -> list[Piece]:
    """Cut a graph into embedding, parts of layers and final norm, in order.

    Args:
        graph: the model's graph.
        fused: cut the fused graph if there is one, else the plain graph.
        half: compute matrix products and attention in half precision.
        squares: output the sums of squares of what enters each matrix too, see `add_squares`.

    Raises:
        ExportError: the residual stream is not known, or half precision is requested without a fused graph.
    """
    if graph.decoder:
        items = compose(graph.decoder, graph.shapes, fused=fused)
    else:
        items = _exported(graph, fused=fused, half=half)
    pieces = [_finished(item, half=half, squares=squares) for item in items]
    following = [*(piece.layer for piece in pieces[1:]), -1]
    return [replace(piece, last=piece.layer != layer) for piece, layer in zip(pieces, following, strict=True)]


def _exported(graph: Graph, *, fused: bool, half: bool) -> list[Cut]:
    """Cut the graph of an exporter."""
    if half and not (fused and graph.fused):
        raise ExportError(f"half precision needs a fused graph: {graph.plain_reason}")
    if not graph.residuals:
        raise ExportError(f"the model cannot be run layer by layer: {graph.plain_reason}")
    if fused and graph.fused:
        model = split_residuals(load_fused(graph.fused))
        return Cutter(model, graph.fused.slots, graph.residuals, graph.fused.heads).cut()
    return Cutter(load_plain(graph.path), graph.slots, graph.residuals, ()).cut()


def _finished(item: Cut, *, half: bool, squares: bool) -> Piece:
    """Turn the weights into inputs."""
    model, weights = item.model, set(item.slots)
    positionwise = item.positionwise
    if positionwise is None:
        positionwise = item.part in ("embedding", "norm") or is_positionwise(model.graph.node, weights)
    if half:
        halve(model, weights)
    if squares:
        add_squares(model.graph, weights)
    stored = multiply_as_stored(model, {name for name, slot in item.slots.items() if slot.transposed})
    halves = weights_as_inputs(model.graph, weights)
    piece = Piece(
        item.part,
        item.layer,
        model.SerializeToString(deterministic=True),
        {name: Weight(slot, name in stored, name in halves) for name, slot in item.slots.items()},
        item.inputs,
        positionwise,
        None if half or item.states else item.heads,  # a state is not carried from chunk to chunk
        item.heads_held,
        tables=item.tables,
        wide=item.wide,
    )
    if item.experts is None:
        return piece
    expert, closing = (
        _finished(part, half=half, squares=squares) for part in (item.experts.expert, item.experts.closing)
    )
    experts = Experts(
        expert.model, expert.weights, closing.model, item.experts.described, item.experts.selection_bias
    )
    return replace(piece, weights={**piece.weights, **closing.weights}, experts=experts)
