"""Write all experts of a layer as one node, where onnxruntime has a kernel for their form.

The node computes down · swiglu(gate · x, up · x). Its kernel for the CPU wants the rows of gate and up in turns, the
same bits for both, scales without offsets, and one block size; with 8 bits it rounds activations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from evaluator.export.composing.feed_forward import BOUND, SLOPE
from evaluator.export.fusion.uses import ExpertsCall
from evaluator.export.packing.formats import Packed
from evaluator.export.packing.matrices import Matrix, deployed_matrix
from evaluator.export.packing.nodes import CONTRIB, FAST_PRODUCTS, NodeWriter
from evaluator.export.skeleton import values_read
from evaluator.models.model_file import ModelFile

_BITS = (4, 8)
_FLOAT_BITS = 4
_KINDS = ("codes", "scales")


def can_be_one_node(file: ModelFile, call: ExpertsCall, accuracy_level: int) -> bool:
    """Return whether the node computes what these experts do, with the accuracy that is asked for."""
    described = call.described
    plain = described.gated and described.limit is None and not described.weigh_inputs
    if not plain or described.activation not in ("silu", "swiglu_clamped"):
        return False
    forms = [deployed_matrix(file, tensor, 0) for tensor in (*call.gate_and_up, call.down)]
    packed = [form for form in forms if isinstance(form, Packed) and form.offsets is None]
    if len(packed) < len(forms) or len({(form.bits, form.block, form.scales.dtype) for form in packed}) > 1:
        return False
    bits = packed[0].bits
    return bits in _BITS and (accuracy_level == FAST_PRODUCTS or bits == _FLOAT_BITS)


def write_one_node(
    writer: NodeWriter,
    file: ModelFile,
    call: ExpertsCall,
    deploy: Callable[[str, int | None], Matrix],
    output: str,
) -> None:
    """Add a layer's router and one node for its experts.

    Args:
        writer: takes the nodes and weights.
        file: the model's weights.
        call: the experts, for which `can_be_one_node`.
        deploy: returns a matrix's form in the artifact.
        output: what the layer's experts compute together.
    """
    count = call.described.count
    name = call.down.removesuffix(".weight")
    writer.nodes.extend(_leading_to(call.nodes, {call.rows, call.chosen, call.weights}))
    shape = writer.constant(f"{name}/choice", [-1, call.described.router.used])
    writer.add("Reshape", [call.chosen, shape], [f"{name}/chosen"])
    zero = writer.place(f"{name}/unchosen", np.zeros((1, count), np.float32))
    writer.add("Shape", [f"{name}/chosen"], [f"{name}/tokens"], end=1)
    sizes = [f"{name}/tokens", writer.constant(f"{name}/experts", [count])]
    writer.add("Concat", sizes, [f"{name}/size"], axis=0)
    writer.add("Expand", [zero, f"{name}/size"], [f"{name}/none"])
    # Chosen experts have positive weights, so that the node chooses the same ones.
    choice = [f"{name}/none", f"{name}/chosen", call.weights]
    writer.add("ScatterElements", choice, [f"{name}/weights"], axis=1)
    first = _weights(writer, f"{name}/first", call.gate_and_up, count, deploy)
    second = _weights(writer, f"{name}/second", (call.down,), count, deploy)
    first += [_bias(writer, f"{name}/first", file, call.gate_and_up)]
    second += [_bias(writer, f"{name}/second", file, (call.down,))]
    form = deployed_matrix(file, call.down, 0)
    assert isinstance(form, Packed)
    clamped = call.described.activation == "swiglu_clamped"
    writer.add(
        "QMoE",
        [call.rows, f"{name}/weights", *first, *second, *[""] * 6, f"{name}/weights"],
        [f"{name}/mixture"],
        domain=CONTRIB,
        k=call.described.router.used,
        activation_type="swiglu",
        swiglu_fusion=1,
        activation_alpha=SLOPE if clamped else 1.0,
        activation_beta=1.0 if clamped else 0.0,
        expert_weight_bits=form.bits,
        block_size=form.block,
        accuracy_level=writer.accuracy_level,
        **({"swiglu_limit": BOUND} if clamped else {}),
    )
    writer.add("Shape", [call.entering], [f"{name}/shape"])
    writer.add("Reshape", [f"{name}/mixture", f"{name}/shape"], [output])


def _weights(
    writer: NodeWriter,
    name: str,
    tensors: Sequence[str],
    count: int,
    deploy: Callable[[str, int | None], Matrix],
) -> list[str]:
    """Store codes, uint8 [experts, rows, bytes], and scales [experts, rows, blocks]; return the values."""
    stacks: list[npt.NDArray[Any]] = []
    for expert in range(count):
        parts = [deploy(tensor, expert) for tensor in tensors]
        packed = [part for part in parts if isinstance(part, Packed)]
        codes = [part.layout().reshape(len(part.codes), -1) for part in packed]
        both = [_in_turns(items, tensors) for items in (codes, [part.scales for part in packed])]
        stacks = stacks or [np.empty((count, *item.shape), item.dtype) for item in both]
        for stack, item in zip(stacks, both, strict=True):
            stack[expert] = item
    placed, scales = (writer.place(f"{name}/{kind}", item) for kind, item in zip(_KINDS, stacks, strict=True))
    return [placed, writer.as_float(scales)]


def _bias(writer: NodeWriter, name: str, file: ModelFile, tensors: Sequence[str]) -> str:
    """Store the experts' biases, float32 [experts, rows], if they have some; return the value."""
    names = [tensor.replace(".weight", ".bias") for tensor in tensors]
    if names[0] not in file.tensors:
        return ""
    parts = [file.dequantize(item).T for item in names]
    return writer.place(f"{name}/bias", np.ascontiguousarray(_in_turns(parts, tensors).T))


def _in_turns(parts: Sequence[npt.NDArray[Any]], tensors: Sequence[str]) -> npt.NDArray[Any]:
    """Return rows of gate and up in turns, which may be one above the other; other rows as they are."""
    if len(parts) == 1 and "_down_" in tensors[0]:
        return parts[0]
    gate, up = parts if len(parts) == 2 else np.split(parts[0], 2)
    return np.stack([gate, up], axis=1).reshape(2 * len(gate), *gate.shape[1:])


def _leading_to(nodes: Sequence[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that some values need, in order."""
    needed, kept = set(wanted), []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed.update(values_read(node))
    return kept[::-1]
