"""Proof by running: a model in half precision against the same in float32, on the device that is to compute.

`python -m evaluator.half_check` reads a request on stdin and prints what is wrong, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluator.child_process import ChildError, run_module
from evaluator.errors import one_line
from evaluator.export.graph import Graph, load_graph
from evaluator.runtime.device import Device
from evaluator.runtime.scoring import Body
from evaluator.sources.model_file import ModelFile
from evaluator.sources.opening import open_model
from evaluator.windows import Window

_MODULE = "evaluator.half_check"
#: Largest accepted distance of final hidden states, relative: of all together, and of each position's. Rounding the
#: weights to bf16 moves SmolLM2's by 0.0035, half precision by 0.0006; a kernel that computes something else, by 1.
TOLERANCE, ROW_TOLERANCE = 0.005, 0.02
#: More positions show nothing more, and float32 attention without fused kernels takes memory by their square.
_MOST_POSITIONS = 1024

Values = npt.NDArray[np.float32]


def trouble_apart(file: ModelFile, device: Device, window: Window) -> str | None:
    """What `half_trouble` finds in a process of its own: a kernel that crashes takes down that one only."""
    request = {
        "model": str(file.path.resolve()),
        "device": asdict(device),
        "ids": window.ids.tolist(),
        "first_scored": window.first_scored,
    }
    try:
        said = run_module(_MODULE, given=json.dumps(request))
    except ChildError as error:
        return one_line(f"trying half precision ended with status {error.status}: {error}")
    trouble: str | None = json.loads(said)
    return trouble


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
    with contextlib.suppress(Exception):  # it takes twice the memory
        return Body(file, graph, device).hidden(window)
    return Body(file, graph, replace(device, name="cpu", provider="CPUExecutionProvider")).hidden(window)


def disagreement(found: Values, expected: Values) -> str | None:
    """How hidden states, float32 [rows, hidden], differ from what they should be; None if they hardly do."""
    errors, sizes = (np.linalg.norm(rows, axis=1) for rows in (found - expected, expected))
    whole = float(np.linalg.norm(errors) / np.linalg.norm(sizes))
    worst = float((errors / sizes).max())
    if whole <= TOLERANCE and worst <= ROW_TOLERANCE:
        return None
    return f"half precision is off by {whole:.2%}, at the worst position by {worst:.2%}"


def _main() -> None:
    request = json.load(sys.stdin)
    file = open_model(Path(request["model"]))
    window = Window(0, "", np.array(request["ids"], np.int32), request["first_scored"])
    sys.stdout.write(json.dumps(half_trouble(file, load_graph(file), Device(**request["device"]), window)))


if __name__ == "__main__":
    _main()
