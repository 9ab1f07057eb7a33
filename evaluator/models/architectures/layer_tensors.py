"""Names of a layer's tensors in GGUF files."""

from __future__ import annotations

from collections.abc import Container


def tensor_name(known: Container[str], role: str, layer: int, kind: str = "weight") -> str:
    """Return the name of the tensor with a role in a layer; −1 stands for none.

    A few tensors, such as `ssm_a`, have no ending.

    Args:
        known: the names of a model's tensors.
        role: such as `attn_q`.
        layer: the layer.
        kind: weight, bias or scale.
    """
    prefix = f"blk.{layer}." if layer >= 0 else ""
    bare = f"{prefix}{role}"
    full = f"{bare}.{kind}"
    return bare if kind == "weight" and full not in known and bare in known else full
