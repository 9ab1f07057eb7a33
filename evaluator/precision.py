"""What a run computes in: halves on a GPU that was shown to do so rightly; the same for all rows of a folder."""

from __future__ import annotations

from collections.abc import Callable

from evaluator.errors import RequestError
from evaluator.half_check import trouble_apart
from evaluator.manifest import Precision
from evaluator.plan import Plan
from evaluator.store import ResultsStore


def settled_precision(plan: Plan, store: ResultsStore, say: Callable[[str, str], None]) -> Precision:
    """What a run on a GPU computes in: what its folder's rows were measured in, or what works.

    Args:
        plan: the run; its baseline is what half precision is tried on.
        store: its folder, prepared.
        say: told, with a style, why a GPU does not compute in half precision.

    Raises:
        RequestError: the folder's rows were measured in half precision, which does not work here.
    """
    device, baseline = plan.device, plan.baseline
    recorded = store.precision(device.name)
    if recorded is None and store.finished(baseline.variant_id, baseline.sha256):
        recorded = "float32"  # by a version that knew nothing else
    if recorded == "float32":
        say(f"{store.folder} was measured in float32, so this run computes in it too", "")
        return recorded
    trouble = trouble_apart(baseline.file, device, plan.windows[0])
    settled = store.precision(device.name, "float32" if trouble else "float16") or "float32"
    if trouble and settled == "float16":
        raise RequestError(
            f"{store.folder} was measured in half precision, which does not work here: {trouble}; "
            "choose another --out or use --force"
        )
    if trouble:
        say(f"computing in float32, which is slower: {trouble}", "yellow")
    return settled
