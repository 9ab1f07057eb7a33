"""Find attention in an exported graph by its projections and replace it by one node per layer.

The nodes between the projections and the output projection (rotary embedding, mask, repeated heads, softmax) are not
analysed: they are cut out whole, and `check` runs both to show that the one node computes the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import onnx
from onnx import helper

from evaluator.export.fusion.dataflow import Dataflow
from evaluator.export.fusion.norms import CONTRIB
from evaluator.export.skeleton import Slot
from evaluator.models.architectures.rotary import ROTARY_BUFFERS
from evaluator.support.errors import ExportError

ATTENTION = "GroupQueryAttention"
SEQLENS, TOTAL_LENGTH = "seqlens_k", "total_sequence_length"
_OUTPUT_PROJECTION = re.compile(r"(model\.layers\.(\d+)\.self_attn\.)o_proj\.weight")
_PACKED = "qkv"

#: Rearrangement that exporters add after a projection → the layout it gives.
_LAYOUT_AFTER = {"Reshape": "heads_last", "Transpose": "heads_first"}
#: [batch, sequence, heads · width], [batch, sequence, heads, width] or [batch, heads, sequence, width].
Layout = Literal["flat", "heads_last", "heads_first"]


@dataclass(frozen=True)
class Cut:
    """A projection's value before the rotary embedding; `heads` counts all heads in it."""

    name: str
    layout: Layout
    heads: int


@dataclass(frozen=True)
class Attention:
    """One layer's attention.

    Attributes:
        layer: the layer's number.
        cuts: query, key and value, or a single projection with all three.
        output: the output projection's input, [batch, sequence, heads · width].
        heads: number of query heads.
        kv_heads: number of key and value heads.
        width: dimensions of a head.
        scale: factor of the scores.
        window: positions that a query attends to, including itself; None for all up to itself.
        softcap: bound of the scores; 0 for none.
        rotary: index of the frequencies that rotate queries and keys; None without rotation.
        rotary_factor: factor of cosines and sines.
    """

    layer: int
    cuts: tuple[Cut, ...]
    output: str
    heads: int
    kv_heads: int
    width: int
    scale: float
    window: int | None
    softcap: float
    rotary: int | None
    rotary_factor: float


@dataclass(frozen=True)
class Core:
    """The nodes between cuts and outputs.

    Attributes:
        nodes: in the order of the graph.
        frontier: values needed only for their shapes, [batch, sequence, hidden].
    """

    nodes: tuple[onnx.NodeProto, ...]
    frontier: tuple[str, ...]


def find_attention(
    flow: Dataflow, slots: Sequence[Slot], frequencies: Sequence[str], settings: Mapping[str, Any]
) -> list[Attention]:
    """Find the attention of every layer.

    Args:
        flow: the graph, its norms already fused.
        slots: its parameters.
        frequencies: initializers that hold rotary frequencies.
        settings: the family's configuration, with transformers' names.

    Raises:
        ExportError: a layer has no attention of the known form.
    """
    layers = sorted(
        (int(match[2]), match[1]) for slot in slots if (match := _OUTPUT_PROJECTION.fullmatch(slot.parameter))
    )
    if not layers:
        raise ExportError("the graph has no output projection")
    return [_one_layer(flow, layer, prefix, frequencies, settings) for layer, prefix in layers]


def _one_layer(
    flow: Dataflow, layer: int, prefix: str, frequencies: Sequence[str], settings: Mapping[str, Any]
) -> Attention:
    heads, kv_heads, width = (
        int(settings[key]) for key in ("num_attention_heads", "num_key_value_heads", "head_dim")
    )
    out = flow.readers_of(f"{prefix}o_proj.weight")
    if len(out) != 1 or out[0].op_type != "MatMul":
        raise ExportError(f"layer {layer}: the output projection is not a single product")
    output = out[0].input[0]
    packed = bool(flow.readers_of(f"{prefix}{_PACKED}_"))
    counts = {_PACKED: heads + 2 * kv_heads} if packed else {"q": heads, "k": kv_heads, "v": kv_heads}
    cuts = tuple(_cut(flow, prefix, letters, count) for letters, count in counts.items())
    core = attention_core(flow, [cut.name for cut in cuts], [output])
    reached = {name for node in core.nodes for name in node.input}
    rotary = [index for index, name in enumerate(frequencies) if name in reached]
    if len(rotary) > 1:
        raise ExportError(f"layer {layer}: more than one set of rotary frequencies")
    return Attention(
        layer,
        cuts,
        output,
        heads,
        kv_heads,
        width,
        scale=float(settings.get("query_pre_attn_scalar") or width) ** -0.5,
        window=_window(settings, layer),
        softcap=float(settings.get("attn_logit_softcapping") or 0),
        rotary=rotary[0] if rotary else None,
        rotary_factor=_rotary_factor(flow, core),
    )


def _rotary_factor(flow: Dataflow, core: Core) -> float:
    """Return the constant that the cosines are multiplied by, as in long-context scalings."""
    cosine = next((node for node in core.nodes if node.op_type == "Cos"), None)
    product = flow.only_consumer(cosine.output[0], "Mul") if cosine else None
    factors = [value for name in product.input if (value := flow.scalar(name)) is not None] if product else []
    return factors[0] if factors else 1.0


def _window(settings: Mapping[str, Any], layer: int) -> int | None:
    kinds = settings.get("layer_types")
    if not settings.get("use_sliding_window", True) or (kinds and kinds[layer] != "sliding_attention"):
        return None
    return settings.get("sliding_window")


def _cut(flow: Dataflow, prefix: str, letter: str, heads: int) -> Cut:
    """Return the last value that is computed with only the projection's own parameters (weight, bias, norm)."""
    products = flow.readers_of(f"{prefix}{letter}_proj.weight")
    if len(products) != 1 or products[0].op_type != "MatMul":
        raise ExportError(f"{prefix}{letter}_proj is not a single product")
    made = {output for node in flow.readers_of(f"{prefix}{letter}_") for output in node.output}
    name, layout = products[0].output[0], "flat"
    while path := _towards(flow, flow.consumers[name], made):
        name, rearranged = path
        for kind in rearranged:
            layout = _LAYOUT_AFTER[kind]
    return Cut(name, cast(Layout, layout), heads)


def _towards(flow: Dataflow, nodes: Iterable[onnx.NodeProto], made: set[str]) -> tuple[str, list[str]] | None:
    """Return the next value in `made` after only reshapes and transpositions, and those operators."""
    for node in nodes:
        if made & set(node.output):
            return node.output[0], []
        if node.op_type in _LAYOUT_AFTER:
            path = _towards(flow, flow.consumers[node.output[0]], made)
            if path:
                return path[0], [node.op_type, *path[1]]
    return None


def attention_core(flow: Dataflow, cuts: Sequence[str], outputs: Sequence[str]) -> Core:
    """Return the nodes between `cuts` and `outputs`; values computed with parameters become the frontier."""
    stops = set(cuts)
    frontier: dict[str, None] = {}
    nodes: dict[str, onnx.NodeProto] = {}
    stack = list(outputs)
    while stack:
        name = stack.pop()
        node = flow.producers.get(name)
        if name in stops or name in frontier or node is None or node.output[0] in nodes:
            continue
        if any(item in flow.parameters for item in node.input) and not _of_frequencies(flow, node):
            frontier[name] = None
            continue
        nodes[node.output[0]] = node
        stack.extend(filter(None, node.input))
    return Core(tuple(nodes.values()), tuple(frontier))


def _of_frequencies(flow: Dataflow, node: onnx.NodeProto) -> bool:
    """Return whether the parameters a node reads are rotary frequencies."""
    parameters = [item for name in node.input for item in flow.parameters.get(name, ())]
    return all(item in ROTARY_BUFFERS for item in parameters)


def attention_nodes(attention: Attention) -> list[onnx.NodeProto]:
    """Return the attention node, preceded by nodes that bring its inputs to [batch, sequence, heads · width].

    It outputs present keys and values even if they are not used: with them, onnxruntime's CPU kernel computes scores
    block by block (unless there is a soft cap); without them, heads × positions² at once.
    """
    nodes: list[onnx.NodeProto] = []
    inputs: list[str] = []
    for cut in attention.cuts:
        name = cut.name
        if cut.layout == "heads_first":
            nodes.append(helper.make_node("Transpose", [name], [f"{cut.name}/bsnh"], perm=[0, 2, 1, 3]))
            name = f"{cut.name}/bsnh"
        if cut.layout != "flat":
            nodes.append(helper.make_node("Reshape", [name, FLAT_SHAPE], [f"{cut.name}/flat"]))
            name = f"{cut.name}/flat"
        inputs.append(name)
    inputs += [""] * (3 - len(inputs))
    inputs += ["", "", SEQLENS, TOTAL_LENGTH]
    if attention.rotary is not None:
        inputs += rotary_names(attention.rotary)
    nodes.append(
        helper.make_node(
            ATTENTION,
            inputs,
            [attention.output, *(f"{attention.output}/present_{kind}" for kind in ("key", "value"))],
            name=f"attention_{attention.layer}",
            domain=CONTRIB,
            num_heads=attention.heads,
            kv_num_heads=attention.kv_heads,
            scale=attention.scale,
            softcap=attention.softcap,
            local_window_size=attention.window or -1,
            do_rotary=int(attention.rotary is not None),
        )
    )
    return nodes


#: Initializer [0, 0, −1]: the shape that concatenates heads.
FLAT_SHAPE = "flat_shape"


def rotary_names(index: int) -> list[str]:
    """Return the names of the inputs for the cosines and sines of one set of frequencies."""
    return [f"cos_cache_{index}", f"sin_cache_{index}"]
