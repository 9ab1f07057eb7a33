"""Names of a layer's tensors in GGUF files."""

from __future__ import annotations

from collections.abc import Container, Mapping

from evaluator.models.model_file import ModelFile, TensorInfo


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


def scale_name(tensors: Mapping[str, TensorInfo], tensor: str) -> str | None:
    """Return the tensor with a number by which all values of a matrix are multiplied, or one for each of several.

    None if there is none; scales of other shapes are tensors in their own right.
    """
    name = f"{tensor.removesuffix('.weight')}.scale"
    if not tensor.endswith(".weight") or name not in tensors or tensor not in tensors:
        return None
    matrices = tensors[tensor].shape[:-2]
    return name if tensors[name].shape in ((1,), matrices) else None


def is_scale(file: ModelFile, name: str) -> bool:
    """Return whether a tensor is the scale of a matrix."""
    owner = f"{name.removesuffix('.scale')}.weight"
    return name.endswith(".scale") and scale_name(file.tensors, owner) == name


def bare_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without the 1s in front; programs that write GGUF files keep or drop them.

    Args:
        shape: in numpy's order.
    """
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape
