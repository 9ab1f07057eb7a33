"""Load the exported graph for a model's shape, from the cache or from optimum."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from evaluator.export.composing.fit import fitting_shapes
from evaluator.export.fusion.fuse import Fused
from evaluator.export.fusion.stored import load_fusion
from evaluator.export.skeleton import SKELETON_FILE, SLOTS_FILE, Slot
from evaluator.models.architectures import (
    EMBEDDING,
    HEAD,
    architecture_of,
    described,
    missing_tensors,
    tensor_names,
)
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.rotary import FACTOR_TENSORS, rotary_scale
from evaluator.models.model_file import ModelFile
from evaluator.support.atomic_files import scratch_beside, sync
from evaluator.support.cache import cache_folder
from evaluator.support.child_process import ChildError, run_module
from evaluator.support.errors import ExportError, SourceError, one_line

#: Part of the cache key: increase it when the skeleton changes for the same inputs.
SKELETON_VERSION = 4
_KEY_PACKAGES = ("torch", "transformers", "optimum", "optimum-onnx", "onnx")
_EXPORT_MODULE = "evaluator.export.exporters.optimum_export"


@dataclass(frozen=True)
class Graph:
    """A model's body without weights.

    Attributes:
        path: the plain graph as exported, which is the reference.
        slots: the places of the parameters.
        fused: the graph with fused attention, if every layer was checked to compute the same.
        plain_reason: why there is no `fused`.
        residuals: names of the residual stream before the first layer and after each, in both graphs; empty if
            they are not known.
        decoder: the description of a model whose pieces are built from it; there are no files then.
        shapes: the shapes of that model's tensors.
    """

    path: Path = Path()
    slots: tuple[Slot, ...] = ()
    fused: Fused | None = None
    plain_reason: str | None = None
    residuals: tuple[str, ...] = ()
    decoder: Decoder | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def exporter(self) -> str:
        """What made the graph."""
        return "optimum" if self.decoder is None else "composed"

    @property
    def weights_bytes(self) -> int:
        """Size of the file that all slots together refer to."""
        return max(slot.offset + slot.n_bytes for slot in self.slots)


def graph_request(file: ModelFile) -> dict[str, Any]:
    """Return everything the exported graph depends on; files with equal requests share a graph.

    Raises:
        SourceError: the family is not known, or the metadata or tensors do not fit it.
    """
    architecture = architecture_of(file)
    settings = {"model_type": architecture.model_type} | architecture.config(file)
    if EMBEDDING not in file.tensors:
        raise SourceError(file.path, f"tensor {EMBEDDING} is missing")
    _check_extent(file, settings)
    layers = settings["num_hidden_layers"]
    placed = {*tensor_names(architecture, layers).values(), EMBEDDING, HEAD, *FACTOR_TENSORS}
    unplaced = set(file.tensors) - placed
    if unplaced:
        raise SourceError(file.path, f"tensor {min(unplaced)} is not part of the {file.architecture} family")
    if missing := missing_tensors(architecture, file, layers):
        raise SourceError(file.path, f"tensor {missing[0]} is missing")
    return {
        "model_type": settings.pop("model_type"),
        "settings": settings | {"vocab_size": file.tensors[EMBEDDING].shape[0]},
        "width_free": list(architecture.width_free),
        "norm_offset": architecture.norm_offset,
        "rotary_scale": rotary_scale(file),
    }


def _check_extent(file: ModelFile, settings: dict[str, Any]) -> None:
    """Check that the number and the shapes of tensors are those in the metadata, which the exporter relies on.

    Raises:
        SourceError: a tensor is missing or has another shape.
    """
    layers, hidden, inner, heads, kv_heads, head_dim = (
        settings[key]
        for key in (
            "num_hidden_layers",
            "hidden_size",
            "intermediate_size",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
        )
    )
    expected = {
        EMBEDDING: (file.tensors[EMBEDDING].shape[0], hidden),
        f"blk.{layers - 1}.attn_norm.weight": (hidden,),
        "blk.0.attn_q.weight": (heads * head_dim, hidden),
        "blk.0.attn_k.weight": (kv_heads * head_dim, hidden),
        "blk.0.attn_qkv.weight": ((heads + 2 * kv_heads) * head_dim, hidden),
        "blk.0.ffn_down.weight": (hidden, inner),
    }
    needed = {EMBEDDING, f"blk.{layers - 1}.attn_norm.weight"}
    for name, shape in expected.items():
        actual = file.tensors[name].shape if name in file.tensors else None
        if actual != shape and (actual or name in needed):
            raise SourceError(file.path, f"tensor {name} is {actual or 'missing'}, the metadata say {shape}")
    _check_rows(file, hidden)


def _check_rows(file: ModelFile, hidden: int) -> None:
    """Check that embedding and head have at least a row per token, of width `hidden`.

    Raises:
        SourceError: one has fewer rows, or rows of another width.
    """
    tokens = file.metadata.get("tokenizer.ggml.tokens", ())
    n_tokens = len(tokens) if isinstance(tokens, Sized) else 0
    for name in (EMBEDDING, HEAD):
        if name not in file.tensors:
            continue
        shape = file.tensors[name].shape
        if shape[1:] != (hidden,):
            raise SourceError(file.path, f"tensor {name} is {shape}, the metadata say rows of {hidden}")
        if shape[0] < n_tokens:
            raise SourceError(file.path, f"tensor {name} has {shape[0]:,} rows for {n_tokens:,} tokens")


def _cache_key(request: dict[str, Any]) -> str:
    versions = {name: importlib.metadata.version(name) for name in _KEY_PACKAGES}
    payload = {"request": request, "versions": versions, "skeleton": SKELETON_VERSION}
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:24]


def is_cached(file: ModelFile) -> bool:
    """Return whether the graph for a file's shape needs no export."""
    return described(file) is not None or (_graph_folder(graph_request(file)) / SLOTS_FILE).is_file()


def _graph_folder(request: dict[str, Any]) -> Path:
    return cache_folder() / "graphs" / _cache_key(request)


def load_graph(file: ModelFile, say: Callable[[str], None] = lambda _: None) -> Graph:
    """Load the graph for a file's shape, exporting it on first use, and again if the cached one is damaged.

    Args:
        file: the model.
        say: called with a line about a damaged graph.

    Raises:
        SourceError: the family is not known, or the metadata or tensors do not fit it.
        ExportError: the exporter failed, or its packages are not installed.
    """
    decoder = described(file)
    if decoder:
        _check_rows(file, decoder.hidden)
        return Graph(decoder=decoder, shapes=fitting_shapes(file, decoder))
    request = graph_request(file)
    folder = _graph_folder(request)
    if (folder / SLOTS_FILE).is_file():
        try:
            return read_graph(folder, file)
        except ExportError as error:
            say(f"{error}; exporting it again")
            shutil.rmtree(folder)
    _export_into(folder, request)
    return read_graph(folder, file)


def read_graph(folder: Path, file: ModelFile) -> Graph:
    """Read an exported graph.

    Args:
        folder: where it was exported to.
        file: a model of the graph's shape.

    Raises:
        SourceError: the file's family is not known.
        ExportError: a file is missing or damaged.
    """
    settings, skeleton = graph_request(file)["settings"], folder / SKELETON_FILE
    try:
        entries = json.loads((folder / SLOTS_FILE).read_text(encoding="utf-8"))
        slots = tuple(Slot(**entry | {"shape": tuple(entry["shape"])}) for entry in entries)
        _check_parameters(skeleton, slots)
        fusion = load_fusion(skeleton, slots, settings)
        if fusion.fused:
            _check_parameters(fusion.fused.path, fusion.fused.slots)
    except (OSError, ValueError, LookupError, TypeError, DecodeError) as error:
        raise ExportError(f"{folder}: the exported graph is damaged: {one_line(str(error))}") from error
    return Graph(skeleton, slots, fusion.fused, fusion.reason, fusion.residuals)


def _check_parameters(path: Path, slots: Sequence[Slot]) -> None:
    """Read a graph and check that it has the parameters; an empty file is read without an error.

    Raises:
        ValueError: one is missing.
        DecodeError: it is no graph.
    """
    graph = onnx.load(str(path), load_external_data=False).graph
    missing = {slot.initializer for slot in slots}.difference(item.name for item in graph.initializer)
    if missing or not slots:
        raise ValueError(f"{path.name} lacks {len(missing)} of {len(slots)} parameters")


def _export_into(folder: Path, request: dict[str, Any]) -> None:
    """Run the exporter in its own process and move its result into place atomically."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_beside(folder) as scratch:
        (scratch / "request.json").write_text(json.dumps(request), encoding="utf-8")
        try:
            run_module(_EXPORT_MODULE, str(scratch / "request.json"), str(scratch))
        except ChildError as error:
            raise ExportError(f"exporting a {request['model_type']} graph failed: {error}") from error
        for path in scratch.iterdir():
            sync(path)
        try:
            scratch.rename(folder)
        except OSError:
            if not (folder / SLOTS_FILE).is_file():  # else another process has exported the same graph
                raise
