"""Check a GPU by running one window on it and comparing with float32 on the CPU.

`python -m evaluator.comparison.device_check` reads a request on stdin and writes a device's results for one window.
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
from evaluator.models.model_file import ModelFile
from evaluator.models.sources.open_model import open_model
from evaluator.results.manifest import Precision
from evaluator.runtime.device import Device
from evaluator.runtime.head import Head
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.scoring import window_states
from evaluator.support.child_process import ChildError, run_module
from evaluator.support.errors import EvaluatorError, ExportError, RequestError, one_line
from evaluator.texts.windows import Window

_MODULE = "evaluator.comparison.device_check"
#: Largest accepted relative error of final hidden states: of all together, and of any one position. For SmolLM2,
#: rounding weights to bf16 causes 0.0035, half precision 0.0006, and a wrong kernel about 1.
TOLERANCE, ROW_TOLERANCE = 0.005, 0.02
#: Largest accepted difference in nats between a device's nll and the CPU's from the same hidden states.
NLL_TOLERANCE = 0.001
#: More positions show nothing new, and the memory they take in float32 on a GPU grows with their square.
_MOST_POSITIONS = 1024

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """A device's results for a window's scored tokens.

    Attributes:
        hidden: final hidden states, float32 [rows, hidden].
        nll: nll in nats from `hidden`, float32 [rows].
        reference_nll: nll from the reference's hidden states, if they were given.
    """

    hidden: Values
    nll: Values
    reference_nll: Values | None = None


#: Run a window on a device in a precision; if hidden states are given, compute their nll too.
Sampler = Callable[[Device, Precision, Values | None], Sample]


@dataclass(frozen=True)
class Verdict:
    """Why a device cannot be trusted in a precision; None where it agrees with the CPU.

    Attributes:
        float32: what is wrong with float32, including that it does not run.
        float16: what is wrong with half precision, including that it does not run.
        float32_is_off: float32 runs, but gives other values than the CPU.
        unverified: why the CPU gave nothing to compare with.
    """

    float32: str | None
    float16: str | None
    float32_is_off: bool = False
    unverified: str | None = None


def beginning(window: Window) -> Window:
    """Return the part of a window that is run in the check."""
    ids = window.ids[:_MOST_POSITIONS]
    return replace(window, ids=ids, first_scored=min(window.first_scored, len(ids) // 2))


def judge(device: Device, sample: Sampler, *, half: bool = True) -> Verdict:
    """Run a device in float32, and in half precision too if `half`, and compare with float32 on the CPU.

    If the CPU cannot run the model, for lack of memory, the two precisions are compared with each other: they use
    different graphs and kernels. If only one of them runs, it is not trusted then.
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
    """Return the sample, or why there is none: a missing kernel, too little memory, weights out of range, a crash."""
    try:
        return run(), None
    except EvaluatorError as error:
        return None, f"it does not run: {error}"


def must_compute_right(verdict: Verdict, device: Device) -> None:
    """Reject a device whose float32 differs from the CPU's, even if its half precision agrees.

    Raises:
        RequestError: it gives other values than the CPU.
    """
    if verdict.float32_is_off:
        raise RequestError(
            f"{device.name} computes other values than the CPU: in float32 {verdict.float32}; "
            "use --device cpu, or another version of onnxruntime-gpu or of the driver"
        )


def check_float32(file: ModelFile, device: Device, window: Window) -> None:
    """Check that a device gives the same values as the CPU in float32.

    Raises:
        RequestError: it gives other values, or cannot run the model.
    """
    verdict = judge(device, sampler_apart(file, beginning(window)), half=False)
    must_compute_right(verdict, device)
    if verdict.float32:
        raise RequestError(f"{file.path}: the GPU cannot be used: {verdict.float32}; use --device cpu")


def disagreement(actual: Sample, expected: Sample) -> str | None:
    """Return how a sample differs from the expected one; None if it is within the tolerances.

    Positions whose expected states are not finite are ignored.
    """
    finite = np.asarray(np.isfinite(expected.hidden).all(axis=1), np.bool_)
    hidden, reference = (np.asarray(item.hidden[finite], np.float64) for item in (actual, expected))
    if not np.isfinite(hidden).all():
        return "it gives values that are not finite"
    errors, sizes = (np.linalg.norm(rows, axis=1) for rows in (hidden - reference, reference))
    whole = _ratio(float(np.linalg.norm(errors)), float(np.linalg.norm(sizes)))
    worst = max((_ratio(error, size) for error, size in zip(errors, sizes, strict=True)), default=0.0)
    if not (whole <= TOLERANCE and worst <= ROW_TOLERANCE):
        return f"it is off by {whole:.2%}, at the worst position by {worst:.2%}"
    return _head_disagreement(actual, expected, finite)


def _ratio(error: float, size: float) -> float:
    """Return `error` relative to `size`: infinite for any error where `size` is 0."""
    if size:
        return error / size
    return float("inf") if error else 0.0


def _head_disagreement(actual: Sample, expected: Sample, finite: npt.NDArray[np.bool_]) -> str | None:
    """Return how the device's nll from the expected states differs from the expected nll."""
    if actual.reference_nll is None:
        return None
    compared = np.isfinite(expected.nll) & finite
    errors = np.abs(actual.reference_nll[compared] - expected.nll[compared])
    limits = NLL_TOLERANCE * np.maximum(1, np.abs(expected.nll[compared]))
    if (errors <= limits).all():
        return None
    return f"its head is off by {float(errors.max()):.3g} nats"


def sampler_apart(file: ModelFile, window: Window) -> Sampler:
    """Return a sampler that runs a window in a process of its own, so that a crash of a kernel stays there."""

    def sample(device: Device, precision: Precision, states: Values | None) -> Sample:
        with tempfile.TemporaryDirectory(prefix="device-check-") as folder:
            given, taken = Path(folder) / "states.npy", Path(folder) / "sample.npz"
            if states is not None:
                np.save(given, states)
            request = {
                "model": str(file.path.absolute()),  # parts of a split model are found by links' names
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
        EvaluatorError: the device cannot run it.
    """
    try:
        model = LayeredModel(load_graph(file), device, half=precision == "float16")
        hidden = window_states(model, file, [window])[0]
        head = Head.of(file, None, device)
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
