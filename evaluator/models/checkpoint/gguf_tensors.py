"""The GGUF tensors that a checkpoint's parameters become: names, and what a converter changes."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

import gguf

from evaluator.models.architectures import (
    EMBEDDING,
    HEAD,
    Architecture,
    CheckpointRules,
    name_pattern,
    tensor_names,
)
from evaluator.models.architectures.changes import Targets
from evaluator.models.checkpoint.changed import changed, stacked
from evaluator.models.checkpoint.config import tied
from evaluator.models.checkpoint.expressible import lacking_setting
from evaluator.models.checkpoint.tensor_bytes import Parameter, values_of
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32_array
from evaluator.support.errors import SourceError

#: Embedding and head, which the tables of exported families do not list.
_ENDS = {"model.embed_tokens.weight": EMBEDDING, "lm_head.weight": HEAD}
#: Prefixes of the text model's tensors in vision models.
_TEXT_PREFIXES = ("language_model.", "model.language_model.")
#: A layer's number at the beginning of a parameter's name.
_LAYER = re.compile(r"\w+\.layers\.(\d+)\.")
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_SUFFIXES = (".weight", ".bias")
#: Endings of parameters → those by which `gguf` knows them.
_ENDINGS = {".dt_bias": ".dt_proj.bias", "_bias": ".bias"}


def gguf_parameters(
    folder: Path,
    architecture: Architecture,
    rules: CheckpointRules,
    config: JsonFile,
    parameters: Mapping[str, Parameter],
) -> dict[str, Parameter]:
    """Return GGUF name → parameter, changed as the family declares, but without the changes of exported families.

    Raises:
        SourceError: a parameter is not in the model, or embedding or head are missing.
    """
    layers = config.count("num_hidden_layers")
    if layers > len(parameters):
        raise SourceError(
            folder, f"its configuration says {layers:,} layers, its files hold {len(parameters)} tensors"
        )
    of_text = {_text_name(name): parameter for name, parameter in parameters.items()}
    if architecture.describe:
        named = _converted(folder, architecture, rules, config, of_text)
    else:
        named = _renamed(folder, architecture, config, of_text)
    if tied(config) and HEAD in named:
        head = named.pop(HEAD)  # tied: the matrix may be stored under either name or both
        named.setdefault(EMBEDDING, head.named(EMBEDDING))
    if EMBEDDING not in named:
        raise SourceError(folder, "holds no embedding (model.embed_tokens.weight)")
    if HEAD not in named and not tied(config):
        raise SourceError(
            folder,
            "holds no output matrix (lm_head.weight), and its configuration does not tie it to the embedding "
            "(tie_word_embeddings): a part of the checkpoint is missing",
        )
    return named


def listed_numbers(
    folder: Path, rules: CheckpointRules, config: JsonFile, parameters: Mapping[str, Parameter]
) -> tuple[dict[str, Typed], dict[str, Parameter]]:
    """Return the metadata keys that parameters become, such as trained activations', and the other parameters.

    Raises:
        SourceError: a layer's is missing, or it is not one number.
    """
    layers, rest = config.count("num_hidden_layers"), dict(parameters)
    keys = {}
    for pattern, key in rules.listed.items():
        taken = [rest.pop(pattern.format(layer), None) for layer in range(min(layers, len(parameters)))]
        numbers = [values_of(item) for item in taken if item is not None and item.info.n_elements == 1]
        if len(numbers) != layers:
            raise SourceError(folder, f"holds no number {pattern.format('N')} for each of {layers:,} layers")
        keys[key] = f32_array([float(number.reshape(-1)[0]) for number in numbers])
    return keys, rest


def _renamed(
    folder: Path, architecture: Architecture, config: JsonFile, parameters: Mapping[str, Parameter]
) -> dict[str, Parameter]:
    """Return GGUF name → parameter of an exported family, without biases of zeros that it has no place for."""
    known = tensor_names(architecture, config.count("num_hidden_layers")) | _ENDS
    named = {}
    for name, parameter in parameters.items():
        if _is_empty_bias(parameter) and (
            name not in known or lacking_setting(architecture, config, known[name])
        ):
            continue
        if name not in known:
            raise _unplaced(folder, architecture, name)
        named[known[name]] = parameter.named(known[name])
    return named


def _is_empty_bias(parameter: Parameter) -> bool:
    """Return whether a tensor is a bias of zeros, which programs that quantize with GPTQ add to every matrix."""
    return parameter.info.name.endswith("_proj.bias") and not values_of(parameter).any()


def _text_name(parameter: str) -> str:
    """Return the name of a parameter in the text model alone."""
    for prefix in _TEXT_PREFIXES:
        if parameter.startswith(prefix):
            rest = parameter.removeprefix(prefix)
            return rest if rest.startswith(("model.", "lm_head.")) else f"model.{rest}"
    return parameter


def _converted(
    folder: Path,
    architecture: Architecture,
    rules: CheckpointRules,
    config: JsonFile,
    parameters: Mapping[str, Parameter],
) -> dict[str, Parameter]:
    """Return GGUF name → tensor: one parameter or a stack of several, and then changed."""
    layers = config.count("num_hidden_layers")
    further = range(layers, layers + config.whole("num_nextn_predict_layers"))
    declared = rules.conversions(config) if callable(rules.conversions) else rules.conversions
    gathered: dict[str, dict[int | None, Parameter]] = {}
    pattern_of: dict[str, str] = {}
    for name, parameter in parameters.items():
        pattern, layer, index = _parsed(name)
        if name.startswith(rules.left_out) or layer in further:
            continue
        targets = declared.get(pattern) or _plain_target(architecture.file_architecture, pattern)
        if not targets and _is_empty_bias(parameter):
            continue
        if not targets or (layer is not None and layer >= layers):
            raise _unplaced(folder, architecture, name)
        for target in targets:
            made = target.format(layer)
            if pattern_of.setdefault(made, pattern) != pattern:
                raise SourceError(folder, f"tensors {pattern_of[made]} and {pattern} stand for the same one")
            gathered.setdefault(made, {})[index] = parameter
    named = {}
    for made, parts in gathered.items():
        pattern = pattern_of[made]
        targets = declared.get(pattern) or _plain_target(architecture.file_architecture, pattern)
        whole = _stack(folder, pattern, parts)
        named[made] = changed(whole, targets[name_pattern(made)], config).named(made)
    return named


def _stack(folder: Path, pattern: str, parts: Mapping[int | None, Parameter]) -> Parameter:
    """Return the parameter, or the numbered ones as one.

    Raises:
        SourceError: one is missing, or their shapes differ.
    """
    if None in parts:
        return parts[None]
    numbers = sorted(number for number in parts if number is not None)
    if numbers != list(range(len(numbers))):
        missing = next(place for place, number in enumerate(numbers) if place != number)
        raise SourceError(folder, f"{pattern}: number {missing} is missing, but there is {numbers[-1]}")
    try:
        return stacked([parts[number] for number in numbers])
    except ValueError as error:
        raise SourceError(folder, f"{pattern} cannot be stacked: {error}") from None


def _parsed(name: str) -> tuple[str, int | None, int | None]:
    """Return a parameter's pattern, the number of its layer, and its number among those that GGUF stacks."""
    layer = _LAYER.match(name)
    numbers = [int(number) for number in _NUMBER.findall(name)]
    pattern = _NUMBER.sub("{}", name)
    if layer is None:
        return pattern, None, numbers[0] if numbers else None
    return pattern, numbers[0], numbers[1] if len(numbers) > 1 else None


@functools.cache
def _plain_target(architecture: str, pattern: str) -> Targets:
    """Return the target of a parameter that a converter only renames and stacks; none if it is not known."""
    ends = next((ending for ending in _ENDINGS if pattern.endswith(ending)), "")
    usual = pattern.removesuffix(ends) + _ENDINGS.get(ends, "")
    merged = usual.replace(".layers.{}", ".layers.0", 1).replace(".{}", "")
    spellings = (merged, merged.removeprefix("model."))  # of some, only the one without the prefix is listed
    found = next(filter(None, (_names(architecture).get_name(name, _SUFFIXES) for name in spellings)), None)
    return {} if found is None else {name_pattern(found): ()}


@functools.cache
def _names(architecture: str) -> gguf.TensorNameMap:
    """Return the names of a model with one layer."""
    number = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    return gguf.get_tensor_name_map(number, 1)


def _unplaced(folder: Path, architecture: Architecture, name: str) -> SourceError:
    reason = f"is not in the {architecture.name} model that config.json describes"
    return SourceError(folder, f"tensor {name[:80]} {reason}")
