"""Half precision on GPUs: used only where it was shown to compute the same, and then for all rows of a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from evaluator.errors import RequestError, one_line
from evaluator.export.graph import Graph
from evaluator.manifest import Precision
from evaluator.plan import Plan
from evaluator.runtime.device import Device
from evaluator.runtime.scoring import Body
from evaluator.sources.model_file import ModelFile
from evaluator.store import ResultsStore
from evaluator.windows import Window

#: Largest accepted distance of final hidden states, relative: of all together, and of each position's. Rounding the
#: weights to bf16 moves SmolLM2's by 0.0035, half precision by 0.0006; a kernel that computes something else, by 1.
TOLERANCE, ROW_TOLERANCE = 0.005, 0.02
#: More positions show nothing more, and float32 attention without fused kernels takes memory by their square.
_MOST_POSITIONS = 1024

Values = npt.NDArray[np.float32]


def settled_precision(
    plan: Plan, graph: Graph, store: ResultsStore, say: Callable[[str, str], None]
) -> Precision:
    """What this run computes in: what its folder's rows were measured in, or what works on its device.

    Args:
        plan: the run; its baseline is what half precision is tried on.
        graph: its graph.
        store: its folder, prepared.
        say: told, with a style, why a GPU does not compute in half precision.

    Raises:
        RequestError: the folder's rows were measured in half precision, which does not work here.
    """
    device, baseline = plan.device, plan.baseline
    if device.name == "cpu":
        return "float32"
    recorded = store.precision(device.name)
    if recorded is None and store.finished(baseline.variant_id, baseline.sha256):
        recorded = "float32"  # by a version that knew nothing else
    if recorded == "float32":
        say(f"{store.folder} was measured in float32, so this run computes in it too", "")
        return recorded
    trouble = half_trouble(baseline.file, graph, device, plan.windows[0])
    settled = store.precision(device.name, "float32" if trouble else "float16") or "float32"
    if trouble and settled == "float16":
        raise RequestError(
            f"{store.folder} was measured in half precision, which does not work here: {trouble}; "
            "choose another --out or use --force"
        )
    if trouble:
        say(f"computing in float32, which is slower: {trouble}", "yellow")
    return settled


def half_trouble(file: ModelFile, graph: Graph, device: Device, window: Window) -> str | None:
    """Run a window in half precision and in float32, and say why half precision cannot be used; None if it can.

    Args:
        file: the weights.
        graph: its graph.
        device: where it shall run. Float32 runs there too, or on the CPU where it does not fit.
        window: what is run, its beginning if it is long.
    """
    if graph.fused is None:
        return f"this model has no fused graph: {graph.plain_reason}"
    ids = window.ids[:_MOST_POSITIONS]
    part = replace(window, ids=ids, first_scored=min(window.first_scored, len(ids) // 2))
    try:
        found = Body(file, graph, device, half=True).hidden(part)
    except Exception as error:  # a missing kernel, too little memory, weights out of range: all mean the same
        return one_line(f"half precision does not run: {error}")
    if not np.isfinite(found).all():
        return "half precision gives values that are not finite"
    return disagreement(found, _in_float32(file, graph, device, part))


def _in_float32(file: ModelFile, graph: Graph, device: Device, window: Window) -> Values:
    try:
        return Body(file, graph, device).hidden(window)
    except Exception:  # float32 takes twice the memory
        return Body(file, graph, replace(device, name="cpu", provider="CPUExecutionProvider")).hidden(window)


def disagreement(found: Values, expected: Values) -> str | None:
    """How hidden states, float32 [rows, hidden], differ from what they should be; None if they hardly do."""
    errors, sizes = (np.linalg.norm(rows, axis=1) for rows in (found - expected, expected))
    whole = float(np.linalg.norm(errors) / np.linalg.norm(sizes))
    worst = float((errors / sizes).max())
    if whole <= TOLERANCE and worst <= ROW_TOLERANCE:
        return None
    return f"half precision is off by {whole:.2%}, at the worst position by {worst:.2%}"
