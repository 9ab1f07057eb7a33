"""Tell which layers' attention is the same nodes, so that each is checked once."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from evaluator.export.fusion.attention import Attention, Core
from evaluator.export.fusion.dataflow import Dataflow


def structure_of(flow: Dataflow, core: Core, attention: Attention) -> str:
    """Return a digest of what a layer's attention computes; layers with equal digests compute the same.

    It covers the replaced nodes with their attributes, constants and connections, and the settings of the node that
    replaces them, but not the names of values.

    Args:
        flow: the graph.
        core: the nodes of the layer's attention.
        attention: its settings.
    """
    producers = {name: node for node in core.nodes for name in node.output if name}
    leaves = {cut.name: f"cut {index}" for index, cut in enumerate(attention.cuts)}
    leaves |= dict.fromkeys(core.frontier, "hidden states")
    cuts = tuple(replace(cut, name="") for cut in attention.cuts)
    digest = hashlib.sha256(repr(replace(attention, layer=0, cuts=cuts, output="")).encode())
    numbers: dict[str, int] = {}
    stack = [attention.output]
    while stack:
        name = stack.pop()
        if name in numbers:
            digest.update(f"\nvalue {numbers[name]}".encode())
            continue
        numbers[name] = len(numbers)
        constant, node = flow.constants.get(name), producers.get(name)
        if constant is not None:
            digest.update(f"\n{constant.dtype} {constant.shape} ".encode() + constant.tobytes())
        elif name in leaves or node is None:
            digest.update(f"\n{leaves.get(name, name)}".encode())
        else:
            place = list(node.output).index(name)
            digest.update(
                f"\n{node.domain} {node.op_type} {place} {len(node.input)} {len(node.output)}".encode()
            )
            for item in sorted(node.attribute, key=lambda item: item.name):
                digest.update(item.SerializeToString(deterministic=True))
            stack.extend(reversed(node.input))
    return digest.hexdigest()
