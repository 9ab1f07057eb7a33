"""Keep the fused graph, or the reason why there is none, beside the exported graph in the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from pydantic import TypeAdapter, ValidationError

from evaluator.export.fusion.fuse import Fused, fuse, residual_stream, simplify
from evaluator.export.skeleton import Slot
from evaluator.support.atomic_files import whole_file
from evaluator.support.errors import ExportError

#: Increase the number when fusing changes. onnxruntime is included because its results decide what is fused.
FUSION_VERSION = f"4, onnxruntime {ort.__version__}"
#: The fused graph, and the record of what was fused.
FUSED_FILE, FUSION_FILE = "fused.onnx", "fusion.json"


@dataclass(frozen=True)
class Fusion:
    """The result of fusing a graph.

    Attributes:
        version: the version that made this record.
        residuals: names of the residual stream before the first layer and after each, in the plain and the fused
            graph; empty if they are not known.
        fused: the fused graph.
        reason: why there is none.
    """

    version: str
    residuals: tuple[str, ...] = ()
    fused: Fused | None = None
    reason: str | None = None


_FUSION = TypeAdapter(Fusion)


def load_fusion(skeleton: Path, slots: Sequence[Slot], settings: Mapping[str, Any]) -> Fusion:
    """Read the fusion stored beside `skeleton`, or make and store it.

    Args:
        skeleton: the plain graph, without weights.
        slots: its parameters.
        settings: the family's configuration, with transformers' names.
    """
    path, record = skeleton.with_name(FUSED_FILE), skeleton.with_name(FUSION_FILE)
    fusion = _read(record)
    if fusion is None or fusion.version != FUSION_VERSION:
        fusion = _make(skeleton, slots, settings, path)
        _replace(record, _FUSION.dump_json(fusion))
    return replace(fusion, fused=fusion.fused and replace(fusion.fused, path=path))


def _read(record: Path) -> Fusion | None:
    try:
        return _FUSION.validate_json(record.read_bytes())
    except (OSError, ValidationError):
        return None


def _make(skeleton: Path, slots: Sequence[Slot], settings: Mapping[str, Any], path: Path) -> Fusion:
    model = onnx.load(str(skeleton), load_external_data=False)
    residuals: tuple[str, ...] = ()
    try:
        simplify(model, slots)
        residuals = residual_stream(model, slots)
        fused = fuse(model, slots, settings)
    except (ExportError, KeyError) as error:
        return Fusion(FUSION_VERSION, residuals, reason=str(error))
    _replace(path, model.SerializeToString())
    return Fusion(FUSION_VERSION, residuals, fused)


def _replace(path: Path, content: bytes) -> None:
    with whole_file(path) as partial:
        partial.write_bytes(content)
