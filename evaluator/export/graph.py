"""The exported graph of a model's shape, from the cache or from optimum."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from evaluator.architectures import EMBEDDING, architecture_of
from evaluator.errors import ExportError, SourceError
from evaluator.export.skeleton import WEIGHTS_FILE, Slot
from evaluator.sources.model_file import ModelFile

#: Part of the cache key: raise it when the skeleton changes for the same inputs.
SKELETON_VERSION = 2
_KEY_PACKAGES = ("torch", "transformers", "optimum", "optimum-onnx", "onnx")
_EXPORT_MODULE = "evaluator.export.optimum_export"


@dataclass(frozen=True)
class Graph:
    """A weight-free body: `path` is the model file, `slots` say which parameter goes where."""

    path: Path
    slots: tuple[Slot, ...]

    @property
    def weights_bytes(self) -> int:
        """Size of the file that all slots together refer to."""
        return max(slot.offset + slot.n_bytes for slot in self.slots)


def cache_folder() -> Path:
    """Where graphs and made models are kept: `EVALUATOR_CACHE`, else the user's cache folder."""
    override = os.environ.get("EVALUATOR_CACHE")
    return Path(override) if override else platformdirs.user_cache_path("quantization-comparison")


def graph_request(file: ModelFile) -> dict[str, Any]:
    """Everything the exported graph depends on; two files with equal requests share a graph.

    Raises:
        SourceError: the family is not known or the metadata do not describe a model of it.
    """
    architecture = architecture_of(file)
    settings = architecture.config(file)
    if EMBEDDING not in file.tensors:
        raise SourceError(file.path, f"tensor {EMBEDDING} is missing")
    return {
        "model_type": architecture.model_type,
        "settings": settings | {"vocab_size": file.tensors[EMBEDDING].shape[0]},
        "width_free": list(architecture.width_free),
    }


def _cache_key(request: dict[str, Any]) -> str:
    versions = {name: importlib.metadata.version(name) for name in _KEY_PACKAGES}
    payload = {"request": request, "versions": versions, "skeleton": SKELETON_VERSION}
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:24]


def is_cached(file: ModelFile) -> bool:
    """Whether `load_graph` would return at once."""
    return (_graph_folder(graph_request(file)) / "slots.json").is_file()


def _graph_folder(request: dict[str, Any]) -> Path:
    return cache_folder() / "graphs" / _cache_key(request)


def load_graph(file: ModelFile) -> Graph:
    """The graph for a file's shape, exported on first use.

    Raises:
        SourceError: the file is not of a known shape.
        ExportError: the exporter failed, or its packages are not installed.
    """
    request = graph_request(file)
    folder = _graph_folder(request)
    if not (folder / "slots.json").is_file():
        _export_into(folder, request)
    entries = json.loads((folder / "slots.json").read_text(encoding="utf-8"))
    slots = tuple(Slot(**entry | {"shape": tuple(entry["shape"])}) for entry in entries)
    graph = Graph(folder / "skeleton.onnx", slots)
    _place_hole(folder / WEIGHTS_FILE, graph.weights_bytes)
    return graph


def _export_into(folder: Path, request: dict[str, Any]) -> None:
    """Run the exporter in a process of its own and put its result in place in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix="exporting-"))
    try:
        (scratch / "request.json").write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-m", _EXPORT_MODULE, str(scratch / "request.json"), str(scratch)]
        result = subprocess.run(
            command, capture_output=True, text=True, env=_export_environment(), check=False
        )
        if result.returncode:
            lines = result.stderr.strip().splitlines() or ["no message"]
            raise ExportError(f"exporting a {request['model_type']} graph failed: {lines[-1]}")
        try:
            scratch.rename(folder)
        except OSError:
            if not (folder / "slots.json").is_file():  # else another process was first, with the same graph
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _place_hole(path: Path, n_bytes: int) -> None:
    """A sparse file where the skeleton says its weights are: onnxruntime wants it to exist, nobody reads it."""
    if path.is_file() and path.stat().st_size == n_bytes:
        return
    with path.open("ab") as file:
        file.truncate(n_bytes)


def _export_environment() -> dict[str, str]:
    """No telemetry, no hub, no tokenizer threads; and this package importable from the child."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": path}
