"""Hugging Face checkpoints (config.json, safetensors, tokenizer files), with GGUF's interface.

Names, row order, norms and computed tensors are those of the GGUF file that llama.cpp's converter would write, so
a checkpoint can be the baseline of published GGUF variants, or the source of a quantization. Nothing is converted
on disk: tensors stay mapped, and the few with another row order are rearranged when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from evaluator.models.architectures import Architecture, Restore, name_pattern
from evaluator.models.architectures.changes import Change, Computed, Rows
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.checkpoint.changed import changed
from evaluator.models.checkpoint.config import context_bound, family_of, metadata
from evaluator.models.checkpoint.expressible import check_expressible
from evaluator.models.checkpoint.gguf_tensors import gguf_parameters, listed_numbers
from evaluator.models.checkpoint.quantized.methods import (
    MODELOPT_FILE,
    Quantization,
    quantization_of,
    read_parameters,
)
from evaluator.models.checkpoint.rotary import frequency_factors, rounded_scaling_keys
from evaluator.models.checkpoint.tensor_bytes import (
    Bytes,
    Parameter,
    TensorBytes,
    bytes_of,
    computed,
    value_rows,
)
from evaluator.models.checkpoint.vocabulary import TOKENIZER_FILES, vocabulary
from evaluator.models.checkpoint.weight_files import stored_tensors
from evaluator.models.dequantize import Indices, Values, check_indices, decode_rows
from evaluator.models.json_file import JsonFile, read_json
from evaluator.models.mapped import release_pages
from evaluator.models.metadata_values import Typed, string, u32, values_and_types
from evaluator.models.model_file import ContextBound, ModelFile, RowReader
from evaluator.models.tensor_types import CheckpointType, TensorType
from evaluator.models.text_rules import NO_RULES, TextRules
from evaluator.support.stage_clock import current_clock

CONFIG = "config.json"
_FILE_TYPES: Mapping[TensorType, gguf.LlamaFileType] = {
    gguf.GGMLQuantizationType.F32: gguf.LlamaFileType.ALL_F32,
    gguf.GGMLQuantizationType.F16: gguf.LlamaFileType.MOSTLY_F16,
    gguf.GGMLQuantizationType.BF16: gguf.LlamaFileType.MOSTLY_BF16,
}

_ROUNDED = (
    "llama.cpp computes YaRN with rounded bounds (truncate: true), as files of this family mean it; the "
    "checkpoint's are not rounded"
)


@dataclass(frozen=True)
class Checkpoint(ModelFile):
    """An opened checkpoint folder."""

    files_in_order: tuple[Path, ...]
    _parameters: Mapping[str, Parameter] = field(repr=False)
    _text_rules: TextRules = NO_RULES
    _bound: ContextBound | None = None
    _quantization: Quantization | None = None
    _rounded: Mapping[str, Typed] = field(default_factory=dict)

    @property
    def text_rules(self) -> TextRules:
        """Rules in the tokenizer files that GGUF cannot express."""
        return self._text_rules

    @property
    def context_bound(self) -> ContextBound | None:
        """The length up to which GGUF matches the configuration."""
        return self._bound

    @property
    def files(self) -> tuple[Path, ...]:
        """Configuration, tokenizer and weights."""
        return self.files_in_order

    @property
    def name(self) -> str:
        """The folder's name, or the repository's for a folder in the hub's cache, which is named by its revision."""
        folder = self.path.absolute()
        if folder.parent.name == "snapshots":
            return folder.parent.parent.name.rpartition("--")[2]
        return folder.name

    @property
    def notice(self) -> str | None:
        """What the model's own runtime rounds besides its weights."""
        return self._quantization.notice if self._quantization else None

    def as_written(self) -> tuple[ModelFile, str | None]:
        """Return the model with YaRN as llama.cpp computes it, where it does not read divisors of frequencies."""
        if not self._rounded:
            return self, None
        values, types = values_and_types(self._rounded)
        scaling = f"{self.architecture}.rope.scaling."
        kept = [key for key in self.metadata if not key.startswith(scaling)]
        written = replace(
            self,
            metadata={key: self.metadata[key] for key in kept} | values,
            value_types={key: self.value_types[key] for key in kept} | types,
            tensors={name: info for name, info in self.tensors.items() if name != FREQUENCY_FACTORS},
            _rounded={},
        )
        return written, f"{self.name}: {_ROUNDED}"

    def raw(self, name: str) -> Bytes:
        """Return the bytes of a tensor as uint8 [..., bytes per row]; mapped, or a copy if they are rearranged.

        Of a tensor whose type GGUF lacks, they are the bytes of its values, float32.

        Raises:
            SourceError: there is no such tensor.
        """
        self.tensor(name)
        return bytes_of(self._parameters[name])

    def row_reader(self, name: str) -> RowReader:
        """Return a function that reads the values of consecutive rows; it is thread-safe.

        Raises:
            SourceError: there is no such tensor.
        """
        info, clock = self.tensor(name), current_clock()
        if self._lies_in_memory(name):
            return super().row_reader(name)
        decode = value_rows(self._parameters[name])

        def read(start: int, stop: int, out: Values | None = None) -> Values:
            start, stop, _ = slice(start, stop).indices(info.n_rows)
            return decode_rows(
                lambda first, last: decode(slice(start + first, start + last)),
                (max(stop - start, 0), info.shape[-1]),
                out,
                clock,
            )

        return read

    def gathered_rows(self, name: str, indices: Indices) -> Values:
        """Return the values of chosen rows, float32 [number of indices, columns].

        Raises:
            IndexError: there is no such row.
            SourceError: there is no such tensor.
        """
        info = self.tensor(name)
        if self._lies_in_memory(name):
            return super().gathered_rows(name, indices)
        check_indices(indices, info.n_rows)
        decode = value_rows(self._parameters[name])
        return decode_rows(
            lambda first, last: decode(indices[first:last]), (len(indices), info.shape[-1]), None, None
        )

    def _lies_in_memory(self, name: str) -> bool:
        """Return whether a tensor's bytes are a view, which is decoded as in other formats."""
        source = self._parameters[name].source
        return isinstance(source, TensorBytes) and source.mapped

    def release_pages(self, name: str) -> None:
        """Release the pages of the bytes that a tensor is made of.

        Raises:
            SourceError: there is no such tensor.
        """
        self.tensor(name)
        for stored in self._parameters[name].source.stored():
            release_pages(stored)


def is_checkpoint(path: Path) -> bool:
    """Return whether a folder holds a model's configuration."""
    return (path / CONFIG).is_file()


def open_checkpoint(folder: Path) -> Checkpoint:
    """Open and check a checkpoint.

    Raises:
        SourceError: a file is missing or damaged, or the family is not known.
    """
    whole = read_json(folder / CONFIG)
    quantization = quantization_of(folder, whole)
    architecture, rules, config = family_of(whole)
    weight_files, stored = stored_tensors(folder)
    listed, parameters = listed_numbers(folder, rules, config, read_parameters(stored, quantization))
    named = gguf_parameters(folder, architecture, rules, config, parameters)
    tokenizer, text_rules = vocabulary(folder, config)
    typed = {
        "general.architecture": string(architecture.file_architecture),
        **_file_type(named),
        **metadata(architecture, rules, config),
        **listed,
        **tokenizer,
        **rules.overrides,
    }
    values, types = values_and_types(typed)
    configured = (CONFIG, MODELOPT_FILE, *TOKENIZER_FILES)
    others = [folder / name for name in configured if (folder / name).is_file()]
    bound = context_bound(rules, config)
    files = (*others, *weight_files)
    prefix = architecture.file_architecture
    rounded = {
        f"{prefix}.rope.scaling.{key}": value for key, value in rounded_scaling_keys(prefix, config).items()
    }
    bare = Checkpoint(folder, values, types, {}, files, {}, text_rules, bound, quantization, rounded)
    checkpoint = _with_tensors(bare, architecture, named, frequency_factors(config))
    check_expressible(checkpoint, architecture, config)
    return checkpoint


def _file_type(parameters: Mapping[str, Parameter]) -> dict[str, Typed]:
    """Return the metadata key of the type that most weights have; none if the checkpoint is quantized."""
    infos = [parameter.info for parameter in parameters.values()]
    if any(isinstance(info.ggml_type, CheckpointType) for info in infos):
        return {}
    return {"general.file_type": u32(_FILE_TYPES[max(infos, key=lambda info: info.n_elements).ggml_type])}


def _with_tensors(
    bare: Checkpoint,
    architecture: Architecture,
    named: Mapping[str, Parameter],
    factors: Mapping[str, npt.NDArray[np.float32]],
) -> Checkpoint:
    """Add the tensors: as stored, with a norm's offset, with rows in GGUF's order, or computed."""
    parameters = {}
    config = JsonFile(bare.path, {})
    offset = Computed(lambda _, values: values + np.float32(architecture.norm_offset))
    for name, parameter in named.items():
        changes: list[Change] = []
        if architecture.norm_offset and name.endswith("norm.weight"):
            changes = [offset]
        elif restore := architecture.restore.get(name_pattern(name)):
            changes = [Rows(partial(_order_in_file, restore, bare))]
        parameters[name] = changed(parameter, changes, config)
    parameters |= {name: computed(name, values) for name, values in factors.items()}
    tensors = {name: parameter.info for name, parameter in parameters.items()}
    return replace(bare, tensors=tensors, _parameters=parameters)


def _order_in_file(restore: Restore, file: ModelFile, _: JsonFile, rows: int) -> Indices:
    """Return the graph's row for each row of a GGUF file; it is found by restoring the row numbers."""
    return np.argsort(restore(file, np.arange(rows, dtype=np.float32)[:, None])[:, 0])
