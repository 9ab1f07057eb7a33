"""Check that a file has the tensors that its description needs, and no others."""

from __future__ import annotations

import re

from evaluator.export.composing.builder import Shapes
from evaluator.export.composing.compose import compose, used_tensors
from evaluator.models.architectures import EMBEDDING, HEAD
from evaluator.models.architectures.description import Decoder, Layer
from evaluator.models.architectures.layer_tensors import bare_shape, is_scale, tensor_name
from evaluator.models.architectures.mixers import AlternatingUpdates, Attention, Experts, Mixer
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import ExportError, SourceError
from evaluator.support.units import counted

#: Parts of a file that a text's probabilities do not depend on, in words, and the names of their tensors.
_LEFT_OUT = {
    "prediction of further tokens": re.compile(r"(blk\.\d+\.)?(nextn|mtp)\..*"),
    "vision or audio": re.compile(r"(v|a|mm)\..*"),
}
_FURTHER = re.compile(r"blk\.(\d+)\.nextn\.")
_OWN_KEYS = re.compile(r"blk\.\d+\.attn_(k|v|k_norm)\.weight")


def fitting_shapes(file: ModelFile, decoder: Decoder) -> Shapes:
    """Return the shapes of the tensors that a file's graph reads.

    Raises:
        SourceError: a tensor is missing, or is not part of what is described.
    """
    # Scales of matrices are part of their values.
    shapes = {name: bare_shape(info.shape) for name, info in file.tensors.items() if not is_scale(file, name)}
    for number, layer in enumerate(decoder.layers):
        for mixer in (mixer for part in layer for mixer in part.mixers):
            _check_extent(file, shapes, number, mixer)
    try:
        used = used_tensors(compose(decoder, shapes))
    except ExportError as error:
        raise SourceError(file.path, str(error)) from None
    head = shapes.get(HEAD, shapes[EMBEDDING])
    if head != shapes[EMBEDDING]:
        raise SourceError(file.path, f"tensor {HEAD} is {head}, but {EMBEDDING} {shapes[EMBEDDING]}")
    for rotary in decoder.rotary:
        factors = {name for name in (rotary.factors, rotary.long_factors) if name}
        used |= factors
        count = rotary.width // 2
        for name in sorted(factors & set(shapes)):
            found = shapes[name]
            if len(found) != 1 or found[0] < count or (found[0] > count and not rotary.padded):
                raise SourceError(file.path, f"tensor {name} is {found}, not {count} factors of frequencies")
    if missing := sorted(used - set(shapes)):
        raise SourceError(file.path, f"tensor {missing[0]} is missing")
    further = _further_layers(file)
    unplaced = [
        name for name in shapes if name not in used and name != HEAD and not _left_out(name, decoder, further)
    ]
    if unplaced:
        family = f"the {file.architecture} family with {counted(len(decoder.layers), 'layer')}"
        raise SourceError(file.path, f"tensor {min(unplaced)} is not part of {family}")
    return {name: shapes[name] for name in shapes if name in used}


def _check_extent(file: ModelFile, shapes: Shapes, layer: int, mixer: Mixer) -> None:
    """Check that heads and experts are as many as the tensors have rows for.

    Raises:
        SourceError: they are not; a graph would divide rows into other heads than the model's.
    """
    expected: dict[str, int] = {}
    if isinstance(mixer, AlternatingUpdates):
        mixer = mixer.attention
    if isinstance(mixer, Attention):
        expected = {
            "attn_q": mixer.heads * mixer.width * (2 if mixer.gated else 1),
            "attn_k": mixer.kv_heads * mixer.width,
            "attn_v": mixer.kv_heads * (mixer.value_width or mixer.width),
        }
        expected["attn_qkv"] = sum(expected.values())
    elif isinstance(mixer, Experts):
        expected = {"ffn_gate_inp": mixer.count}
    for role, rows in expected.items():
        name = tensor_name(shapes, role, layer)
        if name in shapes and shapes[name][:1] != (rows,):
            raise SourceError(file.path, f"tensor {name} is {shapes[name]}, but the settings say {rows} rows")


def left_out(file: ModelFile, decoder: Decoder) -> dict[str, str]:
    """Return the tensors of a file that are not computed, and the part that each belongs to, in words."""
    further = _further_layers(file)
    return {name: words for name in file.tensors if (words := _left_out(name, decoder, further))}


def _further_layers(file: ModelFile) -> set[int]:
    """Return the layers that have matrices to predict further tokens."""
    return {int(found[1]) for name in file.tensors if (found := _FURTHER.match(name))}


def _left_out(name: str, decoder: Decoder, further: set[int]) -> str | None:
    """Return which part of a file a tensor belongs to that is not computed; layers `further` predict more tokens."""
    for words, pattern in _LEFT_OUT.items():
        if pattern.fullmatch(name):
            return words
    layer = re.match(r"blk\.(\d+)\.", name)
    if layer and int(layer[1]) >= len(decoder.layers):
        return "prediction of further tokens" if int(layer[1]) in further else None
    if layer and _OWN_KEYS.fullmatch(name) and _uses_earlier_keys(decoder.layers[int(layer[1])]):
        return "keys and values of layers that use earlier ones"
    return None


def _uses_earlier_keys(layer: Layer) -> bool:
    """Return whether a layer uses the keys and values of an earlier one."""
    mixers = [
        mixer.attention if isinstance(mixer, AlternatingUpdates) else mixer
        for part in layer
        for mixer in part.mixers
    ]
    return any(isinstance(mixer, Attention) and mixer.shares is not None for mixer in mixers)
