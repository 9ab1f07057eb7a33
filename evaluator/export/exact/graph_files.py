"""Carry an exported graph to another machine, which then needs no exporter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evaluator.export.exact.graph import Graph, load_graph, read_graph
from evaluator.export.fusion.stored import FUSED_FILE, FUSION_FILE
from evaluator.export.skeleton import SKELETON_FILE, SLOTS_FILE
from evaluator.models.architectures import described
from evaluator.models.model_file import ModelFile
from evaluator.support.atomic_files import whole_file

#: File name → content: some megabytes, because weights are not included.
GraphFiles = Mapping[str, bytes]
#: In the order in which they are written: a folder with the last is complete.
_FILES = (SKELETON_FILE, FUSED_FILE, FUSION_FILE, SLOTS_FILE)


def read_files(graph: Graph) -> GraphFiles:
    """Return the files of a graph that `load_graph` returned; none of one that is built from a description."""
    if graph.decoder:
        return {}
    places = {name: graph.path.with_name(name) for name in _FILES}
    return {name: path.read_bytes() for name, path in places.items() if path.is_file()}


def graph_from_files(files: GraphFiles, folder: Path, file: ModelFile) -> Graph:
    """Write the files of a graph to a folder, unless they are there already, and open it.

    Several processes may do so at the same time.

    Args:
        files: what `read_files` returned.
        folder: for these files only.
        file: a model of the graph's shape.

    Raises:
        SourceError: the file's family is not known, or its tensors do not fit its description.
        OSError: the disk is full.
    """
    if described(file):
        return load_graph(file)
    if not (folder / SLOTS_FILE).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        for name in filter(files.__contains__, _FILES):
            with whole_file(folder / name) as partial:
                partial.write_bytes(files[name])
    return read_graph(folder, file)
