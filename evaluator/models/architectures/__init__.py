"""Model families: what a GGUF file and a checkpoint of each hold, and the graph that both become.

One module per family registers one `Architecture`. It says which configuration the exporter needs, where each
parameter of the exported graph lies in a GGUF file and how its rows were rearranged on the way there, and which
GGUF metadata a checkpoint's config.json stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError
from evaluator.support.registry import Registry

Restore = Callable[[ModelFile, npt.NDArray[np.float32]], npt.NDArray[np.float32]]

EMBEDDING, HEAD = "token_embd.weight", "output.weight"
#: Two matrices are compared piece by piece, because most differ in the first.
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class CheckpointRules:
    """What a config.json of one `model_type` means, in GGUF's words.

    Attributes:
        defaults: the keys that are honoured beyond the sizes, with the values that transformers' class gives
            them where a configuration leaves them out.
        fixed: the keys that GGUF has no words for, with the values that its files mean.
        own_keys: metadata that only this family has, without the architecture's prefix.
        activation: the key that transformers reads the activation from, and names of the one that GGUF means.
        window: the sliding window that transformers applies and a GGUF file of the family leaves out.
        overrides: whole metadata keys that the converter sets whatever the files say.
    """

    defaults: Mapping[str, Any]
    fixed: Mapping[str, Any]
    own_keys: Callable[[JsonFile], dict[str, Typed]] = lambda _: {}
    activation: tuple[str, tuple[str, ...]] = ("hidden_act", ("silu", "swish"))
    window: Callable[[JsonFile], int | None] = lambda _: None
    overrides: Mapping[str, Typed] = field(default_factory=dict)


@dataclass(frozen=True)
class Architecture:
    """One model family.

    Attributes:
        name: `general.architecture` of its GGUF files.
        model_type: transformers' name of its graph.
        config: keyword arguments of its configuration class, from GGUF metadata; a `model_type` among them
            is for files whose graph is another family's. The vocabulary is absent: the graph is exported
            with a tiny one, because nothing but two weight shapes depends on it.
        tensors: graph parameter pattern (`{}` is the layer) → GGUF tensor pattern.
        checkpoints: `model_type` of a config.json that becomes such a GGUF file → how it is read.
        restore: GGUF tensor pattern → what undoes the rearrangement of its rows.
        norm_offset: what transformers adds to the weights of norms before it multiplies by them. The
            exporter folds the sum into the graph, and files hold the sum too.
        optional: GGUF tensor patterns that a file has in all of its layers or in none.
        width_free: configuration keys that, like the vocabulary, only change weight shapes; the export
            shrinks them so that its memory does not grow with the model.
    """

    name: str
    model_type: str
    config: Callable[[ModelFile], dict[str, Any]]
    tensors: Mapping[str, str]
    checkpoints: Mapping[str, CheckpointRules]
    restore: Mapping[str, Restore] = field(default_factory=dict)
    norm_offset: float = 0.0
    optional: frozenset[str] = frozenset()
    width_free: tuple[str, ...] = ("intermediate_size",)


ARCHITECTURES: Registry[Architecture] = Registry("architecture", __name__)


def register(architecture: Architecture) -> None:
    """Make a family known."""
    ARCHITECTURES.add(architecture.name, architecture)


def architecture_of(file: ModelFile) -> Architecture:
    """The family of a file.

    Raises:
        SourceError: the family is not known; the message lists those that are.
    """
    try:
        return ARCHITECTURES.get(file.architecture)
    except LookupError as error:
        raise SourceError(file.path, str(error)) from None


def tensor_names(architecture: Architecture, n_layers: int) -> dict[str, str]:
    """Graph parameter → GGUF tensor, spelled out for all layers (embedding and head are not included)."""
    names: dict[str, str] = {}
    for parameter, tensor in architecture.tensors.items():
        if "{}" in parameter:
            names |= {parameter.format(layer): tensor.format(layer) for layer in range(n_layers)}
        else:
            names[parameter] = tensor
    return names


def missing_tensors(architecture: Architecture, file: ModelFile, n_layers: int) -> list[str]:
    """GGUF tensors that the graph of a file needs and that the file lacks, embedding and head aside."""
    absent = {name for name in architecture.optional if name.format(0) not in file.tensors}
    return [
        name
        for name in tensor_names(architecture, n_layers).values()
        if name not in file.tensors and name_pattern(name) not in absent
    ]


def restored(architecture: Architecture, file: ModelFile, tensor: str) -> npt.NDArray[np.float32]:
    """Values of a GGUF tensor in the order the graph wants, float32 [rows, columns] or [n].

    Raises:
        SourceError: the tensor is missing or of a type that cannot be dequantized.
    """
    values = file.dequantize(tensor)
    restore = architecture.restore.get(name_pattern(tensor))
    return restore(file, values) if restore else values


def row_order(architecture: Architecture, file: ModelFile, tensor: str) -> npt.NDArray[np.intp]:
    """Which row of the file each row of the `restored` tensor is: the same move for codes, scales and minima."""
    numbers = np.arange(file.tensor(tensor).shape[0], dtype=np.float32)[:, None]  # exact up to 2**24 rows
    restore = architecture.restore.get(name_pattern(tensor))
    return (restore(file, numbers) if restore else numbers)[:, 0].astype(np.intp)


def head_tensor(file: ModelFile) -> str:
    """The tensor that makes logits: the output matrix, or the embedding where they are tied.

    A GGUF file without an output matrix says by that that they are: so llama.cpp reads files of every family
    here. A checkpoint says it in its configuration, and was refused if it does not.
    """
    return HEAD if HEAD in file.tensors else EMBEDDING


def has_own_head(file: ModelFile) -> bool:
    """Whether logits are made by another matrix than the embedding, and not by a copy of it.

    Raises:
        SourceError: there is no embedding.
    """
    if HEAD not in file.tensors:
        return False
    head, embedding = file.tensor(HEAD), file.tensor(EMBEDDING)
    if (head.shape, head.ggml_type) != (embedding.shape, embedding.ggml_type):
        return True
    rows, others = (file.raw(name).reshape(head.shape[0], -1) for name in (HEAD, EMBEDDING))
    starts = range(0, head.shape[0], _ROWS_AT_ONCE)
    return any(
        not np.array_equal(rows[start : start + _ROWS_AT_ONCE], others[start : start + _ROWS_AT_ONCE])
        for start in starts
    )


def logit_softcap(file: ModelFile) -> float | None:
    """The c of families whose logits are c · tanh(logits / c), None for the others.

    Raises:
        SourceError: the family is not known, or the metadata hold something other than a positive number.
    """
    cap: float | None = architecture_of(file).config(file).get("final_logit_softcapping")
    return cap


def name_pattern(tensor: str) -> str:
    """A tensor's name with `{}` for the number of its layer."""
    parts = tensor.split(".")
    return ".".join("{}" if part.isdigit() else part for part in parts)
