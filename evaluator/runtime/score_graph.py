"""Build the graph that reduces final hidden states and a slice of the head to a few numbers per token.

A vocabulary-sized array never exists: logits are computed for one slice of the vocabulary at a time, which fits into
the processor's cache, and never leave onnxruntime. A slice is reduced to sums relative to its largest logit; `Slices`
combines them. The baseline's whole distribution is its final hidden state times its head, so storing 4 × hidden
bytes per token keeps it exactly for all variants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from evaluator.export.softcap import softcap_nodes
from evaluator.metrics.estimation import LARGEST_TOLD_APART

BASELINE_HEAD, VARIANT_HEAD = "baseline_head", "variant_head"
BASELINE_HIDDEN, VARIANT_HIDDEN = "baseline_hidden", "variant_hidden"
#: Index of each row's target in the slice; any index if the target is in another slice.
TARGETS = "targets"
TARGET_LOGIT = "target_logit"
#: The variant's logits, where they are given instead of its hidden states and head.
VARIANT_LOGITS = "variant_logits"
CROSS, VARIANT_AT_TOP = "cross", "variant_at_top"

#: A model's logits spread over several nats; a spread below this is rounding.
_FLATNESS = 1e-5
_OPSET = 18
_IR_VERSION = 8
Doubles = npt.NDArray[np.float64]


def _logits(side: str, softcap: float | None) -> list[onnx.NodeProto]:
    """Return nodes for logits [rows, slice]."""
    raw = f"{side}_raw_logits" if softcap else f"{side}_logits"
    product = helper.make_node("Gemm", [f"{side}_hidden", f"{side}_head"], [raw], transB=1)
    return [product, *(softcap_nodes(raw, f"{side}_logits", softcap) if softcap else [])]


def _reduced(side: str) -> list[onnx.NodeProto]:
    """Return nodes for the maximum of logits [rows, slice], and Σ exp(logit − maximum)."""
    return [
        helper.make_node("ReduceMax", [f"{side}_logits", "last_axis"], [f"{side}_max"], keepdims=1),
        helper.make_node("Sub", [f"{side}_logits", f"{side}_max"], [f"{side}_shifted"]),
        helper.make_node("Exp", [f"{side}_shifted"], [f"{side}_exp"]),
        helper.make_node("ReduceSum", [f"{side}_exp", "last_axis"], [f"{side}_sum"], keepdims=1),
    ]


def _divergence() -> list[onnx.NodeProto]:
    """Return nodes for Σ exp(b − max b) (b − v) over logits b and v, and for v where b is largest."""
    return [
        helper.make_node("Sub", ["baseline_logits", "variant_logits"], ["difference"]),
        helper.make_node("Mul", ["baseline_exp", "difference"], ["terms"]),
        helper.make_node("ReduceSum", ["terms", "last_axis"], [CROSS], keepdims=1),
        helper.make_node("ArgMax", ["baseline_logits"], ["baseline_top"], axis=1, keepdims=1),
        helper.make_node("GatherElements", ["variant_logits", "baseline_top"], [VARIANT_AT_TOP], axis=1),
    ]


def score_graph(
    *, against_baseline: bool, softcap: float | None = None, given: bool = False
) -> onnx.ModelProto:
    """Build the scoring model of one slice.

    Inputs: `variant_hidden` (and `baseline_hidden`) float32 [rows, hidden], the heads' slices `variant_head` (and
    `baseline_head`) float32 [slice, hidden], `targets` int64 [rows, 1].
    Outputs, each float32 [rows, 1]: `variant_max`, `variant_sum`, `target_logit`; with a baseline also
    `baseline_max`, `baseline_sum`, `cross`, `variant_at_top`. With a `softcap` c, logits are c · tanh(logits / c).
    If the variant's logits are `given`, the input `variant_logits` float32 [rows, slice] takes the place of its
    hidden states and head.
    """
    sides = ["variant", "baseline"] if against_baseline else ["variant"]
    computed = sides[1:] if given else sides
    nodes = [node for side in computed for node in _logits(side, softcap)]
    nodes += [node for side in sides for node in _reduced(side)]
    nodes.append(helper.make_node("GatherElements", ["variant_logits", TARGETS], [TARGET_LOGIT], axis=1))
    names = [*(f"{side}_{reduction}" for side in sides for reduction in ("max", "sum")), TARGET_LOGIT]
    if against_baseline:
        nodes += _divergence()
        names += [CROSS, VARIANT_AT_TOP]
    inputs = [helper.make_tensor_value_info(TARGETS, TensorProto.INT64, ["rows", 1])]
    if given:
        inputs.append(helper.make_tensor_value_info(VARIANT_LOGITS, TensorProto.FLOAT, ["rows", "slice"]))
    for side in computed:
        for name, rows in ((f"{side}_hidden", "rows"), (f"{side}_head", "slice")):
            inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, "hidden"]))
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 1]) for name in names]
    last_axis = helper.make_tensor("last_axis", TensorProto.INT64, [1], [-1])
    graph = helper.make_graph(nodes, "score", inputs, outputs, [last_axis])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)


@dataclass(frozen=True)
class RowScores:
    """Per row, float64 [rows]: nats, a probability, nats, and whether both prefer the same token."""

    nll: Doubles
    top_prob: Doubles
    kld: Doubles | None = None
    same_top: npt.NDArray[np.bool_] | None = None


class Slices:
    """Combines slices of the vocabulary, given in order, into scores per row.

    KL(baseline ‖ variant) = Σ p_b (b − v) + ln Σ exp v − ln Σ exp b: exactly 0 where all logits are the same.
    """

    def __init__(self, n_rows: int, *, against_baseline: bool) -> None:
        self._variant = _LogSum.empty(n_rows)
        self._target = np.full(n_rows, np.nan)
        self._baseline = _LogSum.empty(n_rows) if against_baseline else None
        self._cross, self._at_top = np.zeros(n_rows), np.full(n_rows, np.nan)

    def add(
        self, rows: slice, outputs: Mapping[str, npt.NDArray[np.generic]], here: npt.NDArray[np.bool_]
    ) -> None:
        """Add the scoring model's outputs for one slice and some rows.

        Args:
            rows: the rows.
            outputs: output → values, float32 [rows, 1].
            here: whether the row's target is in this slice, [rows].
        """
        part = {name: values[:, 0].astype(np.float64) for name, values in outputs.items()}
        with np.errstate(all="ignore"):
            self._variant.add(rows, part["variant_max"], part["variant_sum"])
            self._target[rows] = np.where(here, part[TARGET_LOGIT], self._target[rows])
            if self._baseline is None:
                return
            higher = part["baseline_max"] > self._baseline.top[rows]
            self._at_top[rows] = np.where(higher, part[VARIANT_AT_TOP], self._at_top[rows])
            kept, added = self._baseline.add(rows, part["baseline_max"], part["baseline_sum"])
            self._cross[rows] = self._cross[rows] * kept + part[CROSS] * added

    def scores(self, vocabulary: int) -> RowScores:
        """Return the scores.

        nll and KLD are both NaN where logits are not finite, are the same over the vocabulary, or are so large that
        their differences are rounding errors.

        Args:
            vocabulary: number of tokens in the vocabulary.
        """
        variant, baseline = self._variant, self._baseline
        with np.errstate(all="ignore"):
            nll, top_prob = variant.top - self._target + np.log(variant.total), 1 / variant.total
            unusable = is_flat(top_prob, vocabulary) | ~(np.abs(nll) <= LARGEST_TOLD_APART)
            if baseline is None:
                return RowScores(np.where(unusable, np.nan, nll), top_prob)
            kld = self._cross / baseline.total + (variant.top - baseline.top)
            kld += np.log(variant.total) - np.log(baseline.total)
            unusable |= ~(np.abs(kld) <= LARGEST_TOLD_APART)
            nll, kld = (np.where(unusable, np.nan, nats) for nats in (nll, kld))
            return RowScores(nll, top_prob, kld, self._at_top >= variant.top)


@dataclass
class _LogSum:
    """Per row, float64 [rows]: the largest logit so far, and Σ exp(logit − largest)."""

    top: Doubles
    total: Doubles

    @classmethod
    def empty(cls, n_rows: int) -> _LogSum:
        return cls(np.full(n_rows, -np.inf), np.zeros(n_rows))

    def add(self, rows: slice, top: Doubles, total: Doubles) -> tuple[Doubles, Doubles]:
        """Add a slice's largest logit and sum; return the factors that earlier and added sums got."""
        highest = np.maximum(self.top[rows], top)
        kept, added = np.exp(self.top[rows] - highest), np.exp(top - highest)
        self.total[rows] = self.total[rows] * kept + total * added
        self.top[rows] = highest
        return kept, added


def is_flat(top_prob: npt.NDArray[np.floating], vocabulary: int) -> npt.NDArray[np.bool_]:
    """Return whether all tokens have the same probability, which no working model gives."""
    flat: npt.NDArray[np.bool_] = top_prob * vocabulary <= 1 + _FLATNESS
    return flat
