"""Model families: the GGUF files, checkpoints and exported graph of each.

One module per family registers one `Architecture`: the configuration that the exporter needs, the GGUF tensor of
each parameter of the graph and how the converter rearranged its rows, and the GGUF metadata that correspond to a
checkpoint's config.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.models.architectures.changes import Conversions
from evaluator.models.architectures.description import Decoder
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError
from evaluator.support.registry import Registry

Restore = Callable[[ModelFile, npt.NDArray[np.float32]], npt.NDArray[np.float32]]

EMBEDDING, HEAD = "token_embd.weight", "output.weight"
#: End of the registered name of a family whose files with experts have another graph than those without.
WITH_EXPERTS = " with experts"
#: Two matrices are compared in blocks of rows, because most differ in the first block.
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class CheckpointRules:
    """How a config.json of one `model_type` is converted to GGUF metadata.

    Attributes:
        defaults: supported keys besides the sizes, with transformers' default values.
        fixed: keys that GGUF cannot express, with the values that its files imply.
        own_keys: metadata that only this family has, without the architecture's prefix.
        activation: the key of the activation in config.json, and the names of the one that GGUF implies.
        window: the sliding window that transformers applies and a GGUF file of the family does not contain.
        overrides: full metadata keys that the converter always sets.
        conversions: parameters that the converter does not only rename or stack, or what returns them.
        left_out: prefixes of parameters that the text model does not need.
        alpha_for_all: whether "dynamic" scaling with an alpha is the same in windows of all lengths.
        absent: metadata keys of all families, without the prefix, that this one does not have.
        applies: whether a configuration is of this family; several share a `model_type` if at most one applies.
        listed: parameter pattern → full key of the metadata that hold its number for each layer.
    """

    defaults: Mapping[str, Any]
    fixed: Mapping[str, Any]
    own_keys: Callable[[JsonFile], dict[str, Typed]] = lambda _: {}
    activation: tuple[str, tuple[str, ...]] = ("hidden_act", ("silu", "swish"))
    window: Callable[[JsonFile], int | None] = lambda _: None
    overrides: Mapping[str, Typed] = field(default_factory=dict)
    conversions: Conversions | Callable[[JsonFile], Conversions] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    alpha_for_all: bool = False
    absent: frozenset[str] = frozenset()
    applies: Callable[[JsonFile], bool] = lambda _: True
    listed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Architecture:
    """One model family.

    Attributes:
        name: `general.architecture` of its GGUF files.
        model_type: transformers' name of its graph.
        config: arguments of transformers' configuration class, from GGUF metadata; they contain `model_type` if
            the file needs another family's graph. The vocabulary size is absent: the graph is exported with a
            tiny vocabulary, because only two weight shapes depend on it.
        tensors: graph parameter pattern (`{}` is the layer) → GGUF tensor pattern.
        checkpoints: `model_type` of a config.json that converts to this architecture → its rules.
        restore: GGUF tensor pattern → function that undoes the rearrangement of its rows.
        norm_offset: number that transformers adds to the weights of norms before it multiplies by them. The
            exporter folds the sum into the graph, and GGUF files hold the sum too.
        optional: GGUF tensor patterns that a file has in all of its layers or in none.
        width_free: configuration keys that, like the vocabulary, only change weight shapes; they are made small
            for the export, so that its memory does not grow with the model.
        describe: description of a file whose graph is built from it, None if an exporter makes the graph of all
            files or of this one.
    """

    name: str
    model_type: str = ""
    config: Callable[[ModelFile], dict[str, Any]] = lambda _: {}
    tensors: Mapping[str, str] = field(default_factory=dict)
    checkpoints: Mapping[str, CheckpointRules] = field(default_factory=dict)
    restore: Mapping[str, Restore] = field(default_factory=dict)
    norm_offset: float = 0.0
    optional: frozenset[str] = frozenset()
    width_free: tuple[str, ...] = ("intermediate_size",)
    describe: Callable[[ModelFile], Decoder | None] | None = None

    @property
    def file_architecture(self) -> str:
        """`general.architecture` of its files."""
        return self.name.removesuffix(WITH_EXPERTS)


ARCHITECTURES: Registry[Architecture] = Registry("architecture", __name__)


def register(architecture: Architecture) -> None:
    """Register a family."""
    ARCHITECTURES.add(architecture.name, architecture)


def architecture_of(file: ModelFile) -> Architecture:
    """Return the family of a file.

    Raises:
        SourceError: the family is not known; the message lists the known ones.
    """
    name = file.architecture
    with_experts = f"{name}{WITH_EXPERTS}"
    experts = file.metadata.get(f"{name}.expert_count", 0)
    if (not isinstance(experts, int) or experts) and with_experts in ARCHITECTURES.names():
        name = with_experts
    try:
        return ARCHITECTURES.get(name)
    except LookupError as error:
        raise SourceError(file.path, str(error)) from None


def described(file: ModelFile) -> Decoder | None:
    """Return the description of a file whose graph is built from it, None if an exporter makes the graph.

    Raises:
        SourceError: the family is not known, or a setting is not valid or not computed.
    """
    describe = architecture_of(file).describe
    return describe(file) if describe else None


def tensor_names(architecture: Architecture, n_layers: int) -> dict[str, str]:
    """Return graph parameter → GGUF tensor for all layers, without embedding and head."""
    names: dict[str, str] = {}
    for parameter, tensor in architecture.tensors.items():
        if "{}" in parameter:
            names |= {parameter.format(layer): tensor.format(layer) for layer in range(n_layers)}
        else:
            names[parameter] = tensor
    return names


def missing_tensors(architecture: Architecture, file: ModelFile, n_layers: int) -> list[str]:
    """Return the GGUF tensors that the graph needs and the file lacks, embedding and head aside."""
    absent = {name for name in architecture.optional if name.format(0) not in file.tensors}
    return [
        name
        for name in tensor_names(architecture, n_layers).values()
        if name not in file.tensors and name_pattern(name) not in absent
    ]


def restored(architecture: Architecture, file: ModelFile, tensor: str) -> npt.NDArray[np.float32]:
    """Return the values of a GGUF tensor in the graph's row order, float32 [rows, columns] or [n].

    Raises:
        SourceError: the tensor is missing or of a type that cannot be dequantized.
    """
    values = file.dequantize(tensor)
    restore = architecture.restore.get(name_pattern(tensor))
    return restore(file, values) if restore else values


def row_order(architecture: Architecture, file: ModelFile, tensor: str) -> npt.NDArray[np.intp]:
    """Return the file's row for each row of the `restored` tensor; it applies to codes, scales and minima alike."""
    numbers = np.arange(file.tensor(tensor).shape[0], dtype=np.float32)[:, None]  # exact up to 2**24 rows
    restore = architecture.restore.get(name_pattern(tensor))
    return (restore(file, numbers) if restore else numbers)[:, 0].astype(np.intp)


def head_tensor(file: ModelFile) -> str:
    """Return the tensor that computes logits: the output matrix, or the embedding if they are tied.

    As in llama.cpp, they are tied in a GGUF file without an output matrix. A checkpoint declares it in its
    configuration, which was checked when it was opened.
    """
    return HEAD if HEAD in file.tensors else EMBEDDING


def has_own_head(file: ModelFile) -> bool:
    """Return whether the output matrix differs from the embedding; a copy of it does not count.

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
    """Return the c of families whose logits are c · tanh(logits / c), None for the others.

    Raises:
        SourceError: the family is not known, or the value is not a positive number.
    """
    if decoder := described(file):
        return decoder.softcap
    cap: float | None = architecture_of(file).config(file).get("final_logit_softcapping")
    return cap


def name_pattern(tensor: str) -> str:
    """Return a tensor's name with `{}` for the layer."""
    parts = tensor.split(".")
    return ".".join("{}" if part.isdigit() else part for part in parts)
