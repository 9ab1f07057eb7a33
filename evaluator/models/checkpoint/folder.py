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

from evaluator.models.architectures import (
    EMBEDDING,
    HEAD,
    Architecture,
    name_pattern,
    tensor_names,
)
from evaluator.models.checkpoint.config import context_bound, family_of, metadata, tied
from evaluator.models.checkpoint.expressible import check_expressible, lacking_setting
from evaluator.models.checkpoint.quantized.methods import (
    MODELOPT_FILE,
    Quantization,
    quantization_of,
    read_parameters,
)
from evaluator.models.checkpoint.rotary import frequency_factors
from evaluator.models.checkpoint.tensor_bytes import (
    Bytes,
    Parameter,
    TensorRows,
    computed,
    rearranged,
    shifted,
    values_of,
)
from evaluator.models.checkpoint.vocabulary import TOKENIZER_FILES, vocabulary
from evaluator.models.checkpoint.weight_files import stored_tensors
from evaluator.models.dequantize import Indices, Values, check_indices, decode_rows
from evaluator.models.json_file import JsonFile, read_json
from evaluator.models.mapped import release_pages
from evaluator.models.metadata_values import Typed, string, u32, values_and_types
from evaluator.models.model_file import NO_RULES, ContextBound, ModelFile, RowReader, TextRules
from evaluator.models.tensor_types import CheckpointType, TensorType
from evaluator.support.errors import SourceError
from evaluator.support.stage_clock import current_clock

CONFIG = "config.json"
_FILE_TYPES: Mapping[TensorType, gguf.LlamaFileType] = {
    gguf.GGMLQuantizationType.F32: gguf.LlamaFileType.ALL_F32,
    gguf.GGMLQuantizationType.F16: gguf.LlamaFileType.MOSTLY_F16,
    gguf.GGMLQuantizationType.BF16: gguf.LlamaFileType.MOSTLY_BF16,
}
#: Embedding and head, which the families' tables do not list.
_ENDS = {"model.embed_tokens.weight": EMBEDDING, "lm_head.weight": HEAD}
#: Prefixes of the text model's tensors in vision models.
_TEXT_PREFIXES = ("language_model.", "model.language_model.")


@dataclass(frozen=True)
class Checkpoint(ModelFile):
    """An opened checkpoint folder."""

    files_in_order: tuple[Path, ...]
    _parameters: Mapping[str, Parameter] = field(repr=False)
    _text_rules: TextRules = NO_RULES
    _bound: ContextBound | None = None
    _quantization: Quantization | None = None

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

    def raw(self, name: str) -> Bytes:
        """Return the bytes of a tensor as uint8 [..., bytes per row]; mapped, or a copy if they are rearranged.

        Of a tensor whose type GGUF lacks, they are the bytes of its values, float32.

        Raises:
            SourceError: there is no such tensor.
        """
        self.tensor(name)
        source = self._parameters[name].source
        return (
            values_of(self._parameters[name]).view(np.uint8)
            if isinstance(source, TensorRows)
            else source.read()
        )

    def row_reader(self, name: str) -> RowReader:
        """Return a function that reads the values of consecutive rows; it is thread-safe.

        Raises:
            SourceError: there is no such tensor.
        """
        info, clock = self.tensor(name), current_clock()
        source = self._parameters[name].source
        if not isinstance(source, TensorRows):
            return super().row_reader(name)
        decode = source.decode

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
        source = self._parameters[name].source
        if not isinstance(source, TensorRows):
            return super().gathered_rows(name, indices)
        check_indices(indices, info.n_rows)
        decode = source.decode
        return decode_rows(
            lambda first, last: decode(indices[first:last]), (len(indices), info.shape[-1]), None, None
        )

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
    named = _gguf_names(folder, architecture, config, read_parameters(stored, quantization))
    tokenizer, text_rules = vocabulary(folder, config)
    typed = {
        "general.architecture": string(architecture.name),
        **_file_type(named),
        **metadata(architecture, rules, config),
        **tokenizer,
        **rules.overrides,
    }
    values, types = values_and_types(typed)
    configured = (CONFIG, MODELOPT_FILE, *TOKENIZER_FILES)
    others = [folder / name for name in configured if (folder / name).is_file()]
    bound = context_bound(rules, config)
    files = (*others, *weight_files)
    bare = Checkpoint(folder, values, types, {}, files, {}, text_rules, bound, quantization)
    checkpoint = _with_tensors(bare, architecture, named, frequency_factors(config))
    check_expressible(checkpoint, architecture, config)
    return checkpoint


def _gguf_names(
    folder: Path, architecture: Architecture, config: JsonFile, parameters: Mapping[str, Parameter]
) -> dict[str, Parameter]:
    """Return GGUF name → parameter."""
    layers = config.count("num_hidden_layers")
    if layers > len(parameters):
        raise SourceError(
            folder, f"its configuration says {layers:,} layers, its files hold {len(parameters)} tensors"
        )
    known = tensor_names(architecture, layers) | _ENDS
    named: dict[str, Parameter] = {}
    for name, parameter in parameters.items():
        bare = _text_name(name)
        if _is_empty_bias(parameter) and (
            bare not in known or lacking_setting(architecture, config, known[bare])
        ):
            continue
        if bare not in known:
            reason = f"is not in the {architecture.name} model that {CONFIG} describes"
            raise SourceError(folder, f"tensor {name[:80]} {reason}")
        named[known[bare]] = parameter.named(known[bare])
    if tied(config) and HEAD in named:
        head = named.pop(HEAD)  # tied: the matrix may be stored under either name or both
        named.setdefault(EMBEDDING, head)
    if EMBEDDING not in named:
        raise SourceError(folder, "holds no embedding (model.embed_tokens.weight)")
    if HEAD not in named and not tied(config):
        raise SourceError(
            folder,
            "holds no output matrix (lm_head.weight), and its configuration does not tie it to the embedding "
            "(tie_word_embeddings): a part of the checkpoint is missing",
        )
    return named


def _text_name(parameter: str) -> str:
    """Return the name of a parameter in the text model alone."""
    for prefix in _TEXT_PREFIXES:
        if parameter.startswith(prefix):
            rest = parameter.removeprefix(prefix)
            return rest if rest.startswith(("model.", "lm_head.")) else f"model.{rest}"
    return parameter


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
    parameters = dict(named)
    for name, stored in named.items():
        pattern = name_pattern(name)
        if architecture.norm_offset and name.endswith("norm.weight"):
            parameters[name] = shifted(stored, architecture.norm_offset)
        elif pattern in architecture.restore:
            parameters[name] = rearranged(stored, partial(architecture.restore[pattern], bare))
    parameters |= {name: computed(name, values) for name, values in factors.items()}
    tensors = {name: parameter.info for name, parameter in parameters.items()}
    return replace(bare, tensors=tensors, _parameters=parameters)


def _is_empty_bias(parameter: Parameter) -> bool:
    """Return whether a tensor is a bias of zeros, which programs that quantize with GPTQ add to every matrix."""
    return parameter.info.name.endswith("_proj.bias") and not values_of(parameter).any()
