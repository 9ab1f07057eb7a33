"""Check that a node computes what the machine that started the run computes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

import evaluator
from evaluator.models.model_file import ModelFile
from evaluator.results.manifest import Node
from evaluator.runtime.device import Device, choose_device
from evaluator.runtime.gpus import visible_gpus
from evaluator.runtime.head import Head
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.machine import cpu_name
from evaluator.runtime.scoring import window_states
from evaluator.support.errors import EvaluatorError
from evaluator.texts.windows import Window

#: Largest accepted difference in nats of a token's nll, relative to nlls above 1. Equal processors give equal values;
#: other kernels round differently.
TOLERANCE = 1e-5
#: Packages that values depend on.
_PACKAGES = ("gguf", "numpy", "onnx")

Values = npt.NDArray[np.float32]


class NodeError(EvaluatorError):
    """A node cannot be used: every variant would fail on it, or get values that are not comparable."""


def program() -> dict[str, str]:
    """Return what must be equal on all nodes: versions by package, and a digest of this program's code."""
    digest = hashlib.sha256()
    root = Path(evaluator.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return versions | {"onnxruntime": ort.__version__, "evaluator (its code)": digest.hexdigest()[:12]}


def check_program(expected: Mapping[str, str]) -> None:
    """Check the versions of this node.

    Raises:
        NodeError: one differs.
    """
    here = program()
    for name, version in expected.items():
        if here[name] != version:
            raise NodeError(
                f"{name} is {here[name]}, and {version} where the run was started; install the same version"
            )


def device_here(kind: str, threads: int) -> Device:
    """Return this node's device of a kind.

    Raises:
        NodeError: there is none that works.
    """
    device = choose_device("cuda" if kind == "cuda" else "cpu", threads)
    if device.name != kind:
        raise NodeError(f"the run computes on {kind}, which this node cannot: {device.notice}")
    return device


def describe_node(device: Device) -> Node:
    """Describe the node that this process runs on."""
    gpus = visible_gpus() if device.name == "cuda" else []
    return Node(name=platform.node(), cpu=cpu_name(), gpu=gpus[0] if gpus else None)


def check_windows(model: LayeredModel, windows: Sequence[Window]) -> Sequence[Window]:
    """Return the windows to compare: the first that run together, so that their arrays have the same shapes."""
    return windows[: model.together(len(windows[0].ids))]


def check_values(
    model: LayeredModel, baseline: ModelFile, windows: Sequence[Window], expected: Values
) -> None:
    """Score the first windows of the baseline and compare.

    Args:
        model: the pieces on this node's device.
        baseline: the baseline.
        windows: the windows of the run.
        expected: nll in nats of the `check_windows` where the run was started, float32 [tokens].

    Raises:
        NodeError: a value differs.
        EvaluatorError: the baseline cannot be scored.
    """
    checked = check_windows(model, windows)
    hidden = window_states(model, baseline, checked)
    targets = np.concatenate([window.targets for window in checked])
    nll = Head.of(baseline, None, model.device).score(hidden.reshape(len(targets), -1), targets, None).nll
    if off := disagreement(nll, expected):
        raise NodeError(
            f"it computes other values for the baseline than the machine that started the run ({off}), so its "
            "variants would not be comparable; use nodes with the same kind of processor and GPU"
        )


def disagreement(actual: Values, expected: Values) -> str | None:
    """Return how nlls in nats differ; None if they are equal up to `TOLERANCE`. Non-finite values are NaN."""
    ours, theirs = (np.where(np.isfinite(nll), nll, np.nan).astype(np.float64) for nll in (actual, expected))
    if (np.isnan(ours) != np.isnan(theirs)).any():
        return "some tokens are finite only on one of the two"
    errors = np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))
    worst = float(np.nanmax(errors, initial=0))
    return None if worst <= TOLERANCE else f"a token's nll is off by {worst:.2g}"
