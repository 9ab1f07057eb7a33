"""Run windows through a model and score them, with everything in memory."""

from __future__ import annotations

from evaluator.runtime.forward_pass import ForwardPass
from evaluator.runtime.head import Head, HeadRows
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.memory_plan import MemoryPlan
from evaluator.runtime.scoring import score, window_states

IN_MEMORY = MemoryPlan("device", True, 0, 0)


def hidden_of(file, graph, device, window, **options):
    """Return the final hidden states of one window, float32 [scored tokens, hidden]."""
    return window_states(LayeredModel(graph, device, **options), file, [window])[0]


def head_of(variant, baseline, device, softcap=None):
    """Return a head of arrays, float32 [vocabulary, hidden]."""
    return Head(rows_of(variant), None if baseline is None else rows_of(baseline), device, softcap)


def rows_of(values):
    return HeadRows(*values.shape, lambda start, stop: values[start:stop])


def scores_of(file, graph, device, windows, head, baseline=None, **options):
    """Score windows; `baseline` are its hidden states, float32 [windows, scored tokens, hidden]."""
    passing = ForwardPass(LayeredModel(graph, device), file, windows, IN_MEMORY, **options)
    return score(passing, head, baseline)
