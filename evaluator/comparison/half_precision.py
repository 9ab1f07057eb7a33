"""Choose a run's precision: float16 on a GPU that passes the device check; one for all rows of a folder."""

from __future__ import annotations

from collections.abc import Callable

from evaluator.comparison.device_check import beginning, judge, must_compute_right, sampler_apart
from evaluator.planning.plan import Plan
from evaluator.results.manifest import Precision
from evaluator.results.store import ResultsStore
from evaluator.support.errors import RequestError


def settled_precision(plan: Plan, store: ResultsStore, say: Callable[[str, str], None]) -> Precision:
    """Return the precision of a run on a GPU: that of the folder's rows, or else float16 if it works.

    Args:
        plan: the run; the GPU is checked on its baseline.
        store: the prepared results folder.
        say: called with a notice and its style.

    Raises:
        RequestError: the GPU computes other values than the CPU, or cannot compute in the precision that the folder's
            rows were measured in.
    """
    device, baseline = plan.device, plan.baseline
    recorded = store.manifest.precisions.get(device.name)
    if recorded is None and store.finished(baseline.variant_id, baseline.sha256):
        recorded = "float32"  # the only precision of versions that did not record it
    sample = sampler_apart(baseline.file, beginning(plan.windows[0]))
    verdict = judge(device, sample, half=recorded != "float32")
    must_compute_right(verdict, device)
    if verdict.unverified:
        say(f"the GPU is checked only against itself: {verdict.unverified}", "yellow")
    settled: Precision = recorded or ("float32" if verdict.float16 else "float16")
    if settled == "float16" and verdict.float16:
        raise RequestError(
            f"{store.folder} was measured in half precision, which cannot be used here: {verdict.float16}; "
            "choose another --out or use --force"
        )
    if settled == "float32" and verdict.float32:
        raise RequestError(
            f"{baseline.file.path}: the GPU cannot be used: in float32, {verdict.float32}"
            + (f"; in half precision, {verdict.float16}" if recorded is None else "")
            + "; use --device cpu"
        )
    store.update_manifest(precisions={**store.manifest.precisions, device.name: settled})
    if recorded == "float32":
        say(f"{store.folder} was measured in float32, so this run uses float32 too", "")
    elif verdict.float16:
        say(f"computing in float32, which is slower: in half precision, {verdict.float16}", "yellow")
    return settled
