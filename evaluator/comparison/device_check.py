"""Proof by running: what a GPU computes, against the same in float32 on the CPU.

`python -m evaluator.comparison.device_check` reads a request on stdin and writes what a device makes of one window.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluator.export.exact.graph import load_graph
from evaluator.export.exact.weights import head_weights
from evaluator.models.architectures import logit_softcap
from evaluator.models.model_file import ModelFile
from evaluator.models.sources.open_model import open_model
from evaluator.results.manifest import Precision
from evaluator.runtime.device import Device
from evaluator.runtime.scoring import Body, Head
from evaluator.support.child_process import ChildError, run_module
from evaluator.support.errors import EvaluatorError, ExportError, RequestError, one_line
from evaluator.texts.windows import Window

_MODULE = "evaluator.comparison.device_check"
#: Largest accepted distance of final hidden states, relative: of all together, and of each position's. Rounding the
#: weights to bf16 moves SmolLM2's by 0.0035, half precision by 0.0006; a kernel that computes something else, by 1.
TOLERANCE, ROW_TOLERANCE = 0.005, 0.02
#: Largest accepted difference of the nll, in nats, that a device and the CPU get from the same hidden states.
NLL_TOLERANCE = 0.001
#: More positions show nothing more, and take memory by their square in float32 on a GPU.
_MOST_POSITIONS = 1024

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """What a device makes of a window's scored tokens.

    Attributes:
        hidden: final hidden states, float32 [rows, hidden].
        nll: from these in nats, float32 [rows].
        reference_nll: the same from the states that were handed over, if some were.
    """

    hidden: Values
    nll: Values
    reference_nll: Values | None = None


#: From a precision, and states whose nll is wanted too, to what a device makes of the window.
Sampler = Callable[[Device, Precision, Values | None], Sample]


@dataclass(frozen=True)
class Verdict:
    """Why a device cannot be trusted with a precision; None where it was shown to compute the same as the CPU.

    Attributes:
        float32: what is wrong with float32; also where it does not run.
        float16: what is wrong with half precision.
        float32_is_off: it runs, and computes something else.
        unverified: why there was nothing on the CPU to compare with.
    """

    float32: str | None
    float16: str | None
    float32_is_off: bool = False
    unverified: str | None = None


def beginning(window: Window) -> Window:
    """The part of a window that is run."""
    ids = window.ids[:_MOST_POSITIONS]
    return replace(window, ids=ids, first_scored=min(window.first_scored, len(ids) // 2))


def judge(device: Device, sample: Sampler, *, half: bool = True) -> Verdict:
    """Run a device in float32, and where `half` in half precision too, and compare with float32 on the CPU.

    Where the CPU cannot run the model, for want of memory, the two are compared with each other: they come from
    different graphs and kernels. Alone, neither is trusted then.
    """
    cpu = Device("cpu", "CPUExecutionProvider", device.threads)
    reference, unverified = _attempt(lambda: sample(cpu, "float32", None))
    states = reference.hidden if reference else None
    single, no_single = _attempt(lambda: sample(device, "float32", states))
    halved, no_half = (
        _attempt(lambda: sample(device, "float16", states)) if half else (None, "it was not tried")
    )
    if reference is None:
        reason = f"float32 on the CPU cannot be compared with: {unverified}"
        pair = disagreement(halved, single) if single and halved else reason
        return Verdict(no_single or pair, no_half or pair, False, reason)
    off = disagreement(single, reference) if single else None
    half_off = disagreement(halved, reference) if halved else None
    return Verdict(no_single or off, no_half or half_off, off is not None)


def _attempt(run: Callable[[], Sample]) -> tuple[Sample | None, str | None]:
    """What ran, or why it did not: a missing kernel, too little memory, weights out of range, a crash."""
    try:
        return run(), None
    except EvaluatorError as error:
        return None, f"it does not run: {error}"


def must_compute_right(verdict: Verdict, device: Device) -> None:
    """Refuse a device whose float32 is not the CPU's, whatever else it does.

    Raises:
        RequestError: it computes something else.
    """
    if verdict.float32_is_off:
        raise RequestError(
            f"{device.name} computes something else than the CPU: in float32 {verdict.float32}; "
            "use --device cpu, or another version of onnxruntime-gpu or of the driver"
        )


def check_float32(file: ModelFile, device: Device, window: Window) -> None:
    """Refuse a device that was not shown to compute the same as the CPU in float32.

    Raises:
        RequestError: it computes something else, or cannot run the model.
    """
    verdict = judge(device, sampler_apart(file, beginning(window)), half=False)
    must_compute_right(verdict, device)
    if verdict.float32:
        raise RequestError(f"{file.path}: the GPU cannot be used: {verdict.float32}; use --device cpu")


def disagreement(found: Sample, expected: Sample) -> str | None:
    """How a sample differs from what it should be; None if it hardly does.

    Positions whose expected states are not finite say nothing.
    """
    known = np.asarray(np.isfinite(expected.hidden).all(axis=1), np.bool_)
    hidden, right = (np.asarray(item.hidden[known], np.float64) for item in (found, expected))
    if not np.isfinite(hidden).all():
        return "it gives values that are not finite"
    errors, sizes = (np.linalg.norm(rows, axis=1) for rows in (hidden - right, right))
    whole = _ratio(float(np.linalg.norm(errors)), float(np.linalg.norm(sizes)))
    worst = max((_ratio(error, size) for error, size in zip(errors, sizes, strict=True)), default=0.0)
    if not (whole <= TOLERANCE and worst <= ROW_TOLERANCE):
        return f"it is off by {whole:.2%}, at the worst position by {worst:.2%}"
    return _head_disagreement(found, expected, known)


def _ratio(error: float, size: float) -> float:
    """`error` relative to `size`; where that is 0, any error is infinitely large."""
    if size:
        return error / size
    return float("inf") if error else 0.0


def _head_disagreement(found: Sample, expected: Sample, known: npt.NDArray[np.bool_]) -> str | None:
    """How the nll differs that the device gets from the expected states."""
    if found.reference_nll is None:
        return None
    right = np.isfinite(expected.nll) & known
    errors = np.abs(found.reference_nll[right] - expected.nll[right])
    limits = NLL_TOLERANCE * np.maximum(1, np.abs(expected.nll[right]))
    if (errors <= limits).all():
        return None
    return f"its head is off by {float(errors.max()):.3g} nats"


def sampler_apart(file: ModelFile, window: Window) -> Sampler:
    """Runs a window in processes of their own: a kernel that crashes takes down that one only."""

    def sample(device: Device, precision: Precision, states: Values | None) -> Sample:
        with tempfile.TemporaryDirectory(prefix="device-check-") as folder:
            given, taken = Path(folder) / "states.npy", Path(folder) / "sample.npz"
            if states is not None:
                np.save(given, states)
            request = {
                "model": str(file.path.resolve()),
                "device": asdict(device),
                "precision": precision,
                "ids": window.ids.tolist(),
                "first_scored": window.first_scored,
                "states": None if states is None else str(given),
                "out": str(taken),
            }
            try:
                run_module(_MODULE, given=json.dumps(request))
            except ChildError as error:
                raise ExportError(f"ended with status {error.status}: {error}") from error
            with np.load(taken) as arrays:
                return Sample(**arrays)

    return sample


def sample_here(
    file: ModelFile, window: Window, device: Device, precision: Precision, states: Values | None
) -> Sample:
    """Run a window on a device.

    Raises:
        EvaluatorError: the device cannot; in one line.
    """
    try:
        graph = load_graph(file)
        body = Body(file, graph, device, half=precision == "float16")
        hidden = body.hidden(window)
        del body
        head = Head(head_weights(file), None, device, logit_softcap(file))
        nll = head.score(hidden, window.targets, None).nll
        again = None if states is None else head.score(states, window.targets, None).nll
    except EvaluatorError:
        raise
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise ExportError(one_line(str(error))) from error
    return Sample(hidden, nll, again)


def _main() -> None:
    request = json.load(sys.stdin)
    window = Window(0, "", np.array(request["ids"], np.int32), request["first_scored"])
    states = np.load(request["states"]) if request["states"] else None
    device = Device(**request["device"])
    try:
        sample = sample_here(open_model(Path(request["model"])), window, device, request["precision"], states)
    except EvaluatorError as error:
        sys.exit(str(error))
    arrays = {name: values for name, values in asdict(sample).items() if values is not None}
    np.savez(request["out"], **arrays)


if __name__ == "__main__":
    _main()
