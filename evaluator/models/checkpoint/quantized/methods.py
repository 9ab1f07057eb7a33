"""The methods that checkpoints are quantized with: which are read, and what belongs to a weight in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluator.models.checkpoint.quantized.bitsandbytes import read_four_bits, read_int8
from evaluator.models.checkpoint.quantized.four_bit_floats import read_mxfp4, read_nvfp4, read_packed_floats
from evaluator.models.checkpoint.quantized.packed_integers import (
    read_awq,
    read_gptq,
    read_packed_integers,
)
from evaluator.models.checkpoint.quantized.parts import Parts, Reader
from evaluator.models.checkpoint.quantized.scaled import read_scaled
from evaluator.models.checkpoint.safetensors_file import SafetensorsFile
from evaluator.models.checkpoint.tensor_bytes import Parameter, as_stored
from evaluator.models.json_file import JsonFile, read_json_if_there
from evaluator.support.errors import SourceError

#: Keys of config.json that say how a checkpoint is quantized, and the file in which older ones of ModelOpt say it.
CONFIG_KEYS = ("quantization_config", "compression_config")
MODELOPT_FILE = "hf_quant_config.json"

#: Endings of arrays that are no part of weights: scales and zero points of activations and of the cache.
_ACTIVATIONS = tuple(
    f".{name}"
    for name in (
        *("input_scale", "input_zero_point", "input_global_scale", "activation_scale", "output_scale"),
        *("q_scale", "k_scale", "v_scale", "kv_scale", "prob_scale", "k_zero_point", "v_zero_point"),
    )
)
#: Formats of compressed-tensors; each group of modules may have its own.
_COMPRESSED = (
    *("dense", "naive-quantized", "int-quantized", "float-quantized", "pack-quantized", "mixed-precision"),
    *("nvfp4-pack-quantized", "mxfp4-pack-quantized", "mxfp8-quantized"),
)


@dataclass(frozen=True)
class Method:
    """How the weights of a method are read.

    Attributes:
        readers: one function for each way in which the method stores a weight.
        checked: checks the settings, and returns them with those that readers use.
        activations: returns what the method computes in fewer bits besides weights, empty if nothing.
    """

    readers: tuple[Reader, ...]
    checked: Callable[[JsonFile], JsonFile] = lambda settings: settings
    activations: Callable[[JsonFile], str] = lambda _: ""


def _value(settings: JsonFile, key: str, known: tuple[object, ...]) -> None:
    """Check that a setting has one of the values that are read."""
    given = settings.values.get(key)
    if given not in known:
        raise settings.error(key, given, " or ".join(map(repr, known)))


def _awq(settings: JsonFile) -> JsonFile:
    version = settings.values.get("version", "gemm")
    if not isinstance(version, str) or version.lower() != "gemm":
        raise settings.error("version", version, "'gemm', the one packing of AWQ that is read")
    _value(settings, "bits" if "bits" in settings.values else "w_bit", (4,))
    return settings


def _gptq(settings: JsonFile) -> JsonFile:
    _value(settings, "checkpoint_format", (None, "", "gptq", "gptq_v2"))
    _value(settings, "pack_dtype", (None, "int32"))
    return settings


def _compressed(settings: JsonFile) -> JsonFile:
    """Check formats, and take the one block structure as `weight_block_size`."""
    groups = list(_groups(settings))
    for part in (settings, *groups):
        _value(part, "format", (None, *_COMPRESSED))
    if settings.within("sparsity_config").values.get("format") not in (None, "dense"):
        _value(settings.within("sparsity_config"), "format", (None, "dense"))
    if settings.within("transform_config").values:
        transform = settings.values["transform_config"]
        raise settings.error(
            "transform_config", transform, "empty: rotations of activations are not computed"
        )
    structures = [group.within("weights").values.get("block_structure") for group in groups]
    blocks = [block for block in structures if block is not None]
    if any(block != blocks[0] for block in blocks):
        raise settings.error("block_structure", blocks, "the same in all groups")
    return replace(settings, values={**settings.values, "weight_block_size": blocks[0] if blocks else None})


def _groups(settings: JsonFile) -> list[JsonFile]:
    groups = settings.within("config_groups")
    return [groups.within(name) for name in groups.values]


def _compressed_activations(settings: JsonFile) -> str:
    given = (group.within("input_activations").values for group in _groups(settings))
    bits = {str(values.get("num_bits")) for values in given if values}
    return f"activations in {' and '.join(sorted(bits))} bits" if bits else ""


def _modelopt(settings: JsonFile) -> JsonFile:
    """Check the algorithm; blocks of FP8 weights are always 128 × 128."""
    known = ("FP8", "FP8_PB_WO", "FP8_PB_REAL", "FP8_PER_CHANNEL_PER_TOKEN", "NVFP4", "MIXED_PRECISION")
    _value(settings, "quant_algo", known)
    return replace(settings, values={"weight_block_size": [128, 128], **settings.values})


def _modelopt_activations(settings: JsonFile) -> str:
    algorithm = str(settings.values["quant_algo"])
    if algorithm.startswith("FP8_PB"):
        return ""
    return f"activations in {'4' if algorithm == 'NVFP4' else '8'} bits"


def _bitsandbytes_activations(settings: JsonFile) -> str:
    return "activations in 8 bits" if settings.values.get("load_in_8bit") else ""


def _fp8_activations(_: JsonFile) -> str:
    return "activations in 8 bits"


METHODS: Mapping[str, Method] = {
    "awq": Method((read_awq,), _awq),
    "bitsandbytes": Method((read_four_bits, read_int8), activations=_bitsandbytes_activations),
    "compressed-tensors": Method(
        (read_packed_integers, read_packed_floats, read_scaled), _compressed, _compressed_activations
    ),
    "fbgemm_fp8": Method((read_scaled,), activations=_fp8_activations),
    "fp8": Method((read_scaled,), activations=_fp8_activations),
    "gptq": Method((read_gptq,), _gptq),
    "modelopt": Method((read_nvfp4, read_scaled), _modelopt, _modelopt_activations),
    "modelopt_fp4": Method((read_nvfp4, read_scaled), _modelopt, _modelopt_activations),
    "mxfp4": Method((read_mxfp4,)),
}


@dataclass(frozen=True)
class Quantization:
    """How a checkpoint is quantized."""

    name: str
    settings: JsonFile

    @property
    def notice(self) -> str | None:
        """What the method computes that is not computed here; None if nothing."""
        rounded = METHODS[self.name].activations(self.settings)
        if not rounded:
            return None
        return f"{self.name} also computes with {rounded}; here only its weights are quantized"


def quantization_of(folder: Path, config: JsonFile) -> Quantization | None:
    """Return how a checkpoint is quantized, as its config.json or ModelOpt's file says; None if it is not.

    Raises:
        SourceError: the method or one of its settings is not known.
    """
    text = config.within("text_config") if isinstance(config.values.get("text_config"), dict) else config
    found = (part.within(key) for part in (config, text) for key in CONFIG_KEYS if part.values.get(key))
    settings = next(found, None)
    if settings is None:
        stated = read_json_if_there(folder / MODELOPT_FILE)
        settings = stated.within("quantization")
        if not settings.values:
            return None
        name: Any = stated.within("producer").values.get("name", "modelopt")
    else:
        name = settings.values.get("quant_method") or (
            "modelopt" if "quant_algo" in settings.values else None
        )
    if not isinstance(name, str) or name not in METHODS:
        known = ", ".join(METHODS)
        reason = f"quant_method is {repr(name)[:60]}, which is not read; known: {known}"
        raise SourceError(settings.path, f"{reason}: use the original checkpoint or a GGUF file")
    return Quantization(name, METHODS[name].checked(settings))


def read_parameters(
    files: Mapping[str, SafetensorsFile], quantization: Quantization | None
) -> dict[str, Parameter]:
    """Return the parameters of a checkpoint by name: quantized weights under the name of the whole weight.

    Scales of activations are left out, because weights do not depend on them.

    Raises:
        SourceError: a tensor is damaged, or its arrays do not fit together.
    """
    if quantization is None:
        return {name: as_stored(file, name) for name, file in files.items()}
    parts = Parts(files, quantization.settings)
    parameters: dict[str, Parameter] = {}
    for name, file in files.items():
        for read in METHODS[quantization.name].readers:
            if weight := read(file.array(name), parts):
                parts.used.add(name)
                parameters[weight.info.name] = weight
                break
    for name in files.keys() - parts.used:
        if not name.endswith(_ACTIVATIONS):
            parameters[name] = as_stored(files[name], name)
    return parameters
