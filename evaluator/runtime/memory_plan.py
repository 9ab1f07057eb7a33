"""Decide what a pass keeps in memory, before anything is measured."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluator.export.exact.graph import graph_request
from evaluator.export.pieces import Piece, Weight
from evaluator.models.model_file import ModelFile
from evaluator.runtime.device import Device
from evaluator.runtime.gpus import free_gpu_memory
from evaluator.runtime.layered_model import CHUNK, LayeredModel, chunk_size
from evaluator.runtime.mixture_layer import BLOCK_BYTES
from evaluator.support.errors import RequestError
from evaluator.support.memory import free_memory
from evaluator.support.units import FLOAT_BYTES, GIGABYTE, size_in_words

#: Arrays as wide as the residual stream, and as a piece's widest matrix, that exist while a piece runs; somewhat more
#: than measured, see docs/scaling.md.
_STREAMS, _WIDE = 8, 4
#: Arrays of what a stream carries besides, of keys and values of a whole window, and of scores that a kernel holds.
_CARRIED, _KEYS, _HELD = 4, 8, 2
#: Arrays of heads × positions² that exist at a time where attention is not fused: scores, mask, their sum, softmax.
_SQUARES_PLAIN = 4
#: Arrays of float64 [tokens, experts] that exist while experts are chosen.
_SCORES, _SCORE_BYTES = 5, 8
#: What a run takes in any case: the interpreter, onnxruntime, frames of tokens, slices of the heads.
_BASE = 700_000_000
#: Share of the free memory that is used unless it is requested otherwise: other programs need some too.
SHARE = 0.8
#: Free disk that is left to others.
_DISK_RESERVE = 1_000_000_000

Place = Literal["device", "host", "disk"]


@dataclass(frozen=True)
class Budget:
    """Bytes that a run may use; model files are mapped and not counted.

    Attributes:
        host: bytes of the computer's memory.
        device: bytes of the GPU's memory; the same as `host` on a CPU.
        requested: whether the user named them; else they are a share of what is free.
    """

    host: int
    device: int
    requested: bool = False

    @classmethod
    def of(cls, gigabytes: float | None, free: int, free_on_gpu: int | None = None) -> Budget:
        """Return the budget for `gigabytes` of the computer's memory, or a share of what is free."""
        host = int(SHARE * free) if gigabytes is None else int(gigabytes * GIGABYTE)
        return cls(host, host if free_on_gpu is None else int(SHARE * free_on_gpu), gigabytes is not None)

    @classmethod
    def on(cls, device: Device, gigabytes: float | None, passes: int = 1) -> Budget:
        """Return the budget of one of `passes` at a time, with the memory that is free now; see `of`."""
        on_gpu = free_gpu_memory(device.index) if device.name == "cuda" else None
        whole = cls.of(gigabytes, free_memory(), on_gpu)
        host = whole.host // passes
        return cls(host, host if on_gpu is None else whole.device, whole.requested)


@dataclass(frozen=True)
class Shape:
    """The size of a pass: windows, tokens in each, and width of the residual stream."""

    windows: int
    length: int
    hidden: int

    @property
    def stream_bytes(self) -> int:
        """Bytes of the residual streams of all windows."""
        return FLOAT_BYTES * self.windows * self.length * self.hidden


@dataclass(frozen=True)
class MemoryPlan:
    """What one pass keeps where.

    Attributes:
        place: where the residual streams are between pieces.
        ahead: whether the next piece's weights are read while one computes.
        stream_bytes: bytes of the residual streams of all windows.
        piece_bytes: bytes of the largest piece's weights, and of an expert's beside it.
        host_bytes: bytes of the computer's memory that the process takes at most.
    """

    place: Place
    ahead: bool
    stream_bytes: int
    piece_bytes: int
    host_bytes: int = 0


def plan_memory(model: LayeredModel, file: ModelFile, shape: Shape, budget: Budget) -> MemoryPlan:
    """Decide what a pass keeps in memory.

    Args:
        model: the pieces.
        file: the model.
        shape: the size of the pass.
        budget: what may be used.

    Raises:
        RequestError: even one part of a layer does not fit; the message says how much would do.
    """
    largest = max(piece.n_bytes for piece in model.pieces[1:]) + expert_bytes(model)
    work, streams = working_bytes(model, file, shape), shape.stream_bytes
    blocks = block_bytes(model, shape)
    on_gpu = model.device.name == "cuda"
    places: tuple[Place, ...] = ("device", "host", "disk") if on_gpu else ("device", "disk")
    for place in places:
        for ahead in (True, False):
            weights = largest * (1 + ahead)
            on_device = work + weights + streams * (place == "device")
            on_host = _BASE + blocks + (streams * (place == "host") + weights if on_gpu else on_device)
            if on_device <= budget.device and on_host <= budget.host:
                return MemoryPlan(place, ahead, streams, largest, on_host)
    on_device, on_host = work + largest, _BASE + blocks + largest + (0 if on_gpu else work)
    raise RequestError(f"--context {shape.length}: {_refusal(on_device, on_host, budget, on_gpu=on_gpu)}")


def plan_branches(model: LayeredModel, file: ModelFile, shape: Shape, budget: Budget) -> tuple[bool, int]:
    """Decide how an attribution uses memory, in which the weights of two files are held.

    Args:
        model: the pieces.
        file: the model.
        shape: the size of one branch.
        budget: what may be used.

    Returns:
        Whether the next piece's weights are read ahead, and the bytes that branches may take.
    """
    largest = max(piece.n_bytes for piece in model.pieces[1:]) + expert_bytes(model)
    rest = budget.device - working_bytes(model, file, shape)
    if model.device.name == "cpu":
        rest -= _BASE + block_bytes(model, shape)
    ahead = rest - 4 * largest >= shape.stream_bytes
    return ahead, max(0, rest - (4 if ahead else 2) * largest)


def _refusal(on_device: int, on_host: int, budget: Budget, *, on_gpu: bool) -> str:
    """Return why these bytes do not fit, and a way out."""
    short_on_gpu = on_gpu and on_device > budget.device
    needed, limit = (on_device, budget.device) if short_on_gpu else (on_host, budget.host)
    gigabytes = f"{math.ceil(10 * needed / GIGABYTE) / 10:.1f}"
    where, way_out = "", "close other programs, or use a smaller --context"
    if short_on_gpu:
        where, way_out = " of the GPU's memory", "use a smaller --context, or --device cpu"
    elif budget.requested:
        way_out = f"use --memory {gigabytes} or more"
    return (
        f"a window and one part of a layer take about {gigabytes} GB{where}, and "
        f"{limit / GIGABYTE:,.1f} GB may be used; {way_out}"
    )


def working_bytes(model: LayeredModel, file: ModelFile, shape: Shape) -> int:
    """Estimate the bytes that a group of windows takes while it runs through a piece, weights not counted."""
    group = model.together(shape.length) * shape.length
    at_once = min(group, CHUNK) if model.device.name == "cpu" and shape.length > CHUNK else group
    if model.main:
        pieces = (_piece_bytes(piece, model.main, shape, (group, at_once)) for piece in model.pieces[1:])
        return max(pieces) + 2 * FLOAT_BYTES * group * shape.hidden
    widest = max(max(weight.slot.shape) for weight in _weights(model))
    if model.most_experts:
        at_once = max(at_once, min(CHUNK, shape.windows * shape.length))
    rows = FLOAT_BYTES * at_once * (_STREAMS * shape.hidden + _WIDE * widest)
    heads = 0 if model.is_fused else int(graph_request(file)["settings"]["num_attention_heads"])
    squares = _SQUARES_PLAIN * FLOAT_BYTES * heads * group * shape.length
    return rows + 2 * FLOAT_BYTES * group * shape.hidden + squares


def _piece_bytes(piece: Piece, main: int, shape: Shape, positions: tuple[int, int]) -> int:
    """Estimate the bytes that positions take while they run through a piece of a described model.

    Args:
        piece: the piece.
        main: width of the streams that layers compute.
        shape: the size of the pass.
        positions: of a group of windows, and of them at a time where they can be parted.
    """
    group, part = positions
    whole = not piece.positionwise and piece.heads is None and piece.experts is None
    stream = _STREAMS * main + _CARRIED * (shape.hidden - main)
    values = (group if whole else part) * (stream + (piece.wide or _WIDE) * _widest(piece.weights))
    if piece.heads:
        values += _KEYS * group * piece.heads.kv_heads * piece.heads.width
    if piece.heads_held:
        held = group if whole else min(group, chunk_size(piece, shape.length))
        values += _HELD * held * piece.heads_held * shape.length
    if piece.experts:
        tokens = min(CHUNK, shape.windows * shape.length)
        values = max(values, tokens * (stream + _WIDE * _widest(piece.experts.weights)))
    return FLOAT_BYTES * values


def _widest(weights: Mapping[str, Weight]) -> int:
    """Return the longest side of any weight."""
    return max((max(weight.slot.shape, default=1) for weight in weights.values()), default=1)


def block_bytes(model: LayeredModel, shape: Shape) -> int:
    """Estimate the bytes of what enters and leaves a mixture's experts at a time, and of the router's scores.

    They are on the host, whatever the device. 0 without a mixture.
    """
    if not model.most_experts:
        return 0
    group = FLOAT_BYTES * model.together(shape.length) * shape.length * shape.hidden
    block = min(shape.stream_bytes, max(group, BLOCK_BYTES))
    scores = block // (FLOAT_BYTES * shape.hidden) * model.most_experts
    return 2 * block + _SCORES * _SCORE_BYTES * scores


def expert_bytes(model: LayeredModel) -> int:
    """Return the bytes of the largest expert's weights; 0 without a mixture."""
    return max((piece.experts.n_bytes for piece in model.pieces if piece.experts), default=0)


def _weights(model: LayeredModel) -> Iterator[Weight]:
    """Yield the weights of all layers and of the final norm."""
    for piece in model.pieces[1:]:
        yield from piece.weights.values()
        yield from piece.experts.weights.values() if piece.experts else ()


def check_disk(folder: Path, n_bytes: int, elsewhere: str) -> None:
    """Check that `n_bytes` of hidden states fit on the disk of `folder`; `elsewhere` says how to use another.

    Raises:
        RequestError: they do not; the message names a way out.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes + _DISK_RESERVE:
        raise RequestError(
            f"{folder}: the hidden states of all windows take {size_in_words(n_bytes)}, and this disk has "
            f"{size_in_words(free)} free, {_DISK_RESERVE / GIGABYTE:.0f} GB of it for other programs; "
            f"use fewer windows (--chunks), a larger --memory, or {elsewhere}"
        )
