"""Check, before anything is measured, that windows fit into memory and into the model's context."""

from __future__ import annotations

from collections.abc import Callable

from evaluator.export.exact.graph import Graph, graph_request
from evaluator.models.architectures.rotary import made_for
from evaluator.models.model_file import ModelFile
from evaluator.runtime.scoring import windows_together
from evaluator.support.errors import RequestError

_FLOAT_BYTES = 4
_GIGABYTE = 1e9
_SHORTEST = 8
#: Arrays of heads × positions² that exist at a time: in the exported graph (scores, mask, their sum, softmax), and in
#: the fused one if it has a soft cap, because onnxruntime's kernel applies it to all scores.
_SQUARES_PLAIN, _SQUARES_CAPPED = 4, 1
#: Arrays as wide as the residual stream, and as the feed-forward part, that exist at a time; somewhat more than
#: measured, see docs/scaling.md.
_STREAMS, _WIDE = 32, 16


def window_bytes(file: ModelFile, graph: Graph, together: int | None = None) -> Callable[[int], int]:
    """Return a function from window length to the bytes that windows on a CPU take beside the weights, roughly.

    Args:
        file: the model.
        graph: its graph.
        together: how many windows run at a time; default: the scorer's choice.
    """
    settings = graph_request(file)["settings"]
    if graph.fused is None:
        squares = _SQUARES_PLAIN
    else:
        squares = _SQUARES_CAPPED if settings.get("attn_logit_softcapping") else 0
    scores = squares * int(settings["num_attention_heads"])
    row = _STREAMS * int(settings["hidden_size"]) + _WIDE * int(settings["intermediate_size"])

    def of(context: int) -> int:
        return (together or windows_together(context)) * context * (scores * context + row) * _FLOAT_BYTES

    return of


def check_memory(
    file: ModelFile, graph: Graph, context: int, free: int, *, together: int | None = None
) -> None:
    """Check that windows fit into memory beside the model's weights.

    Args:
        file: the model.
        graph: its graph.
        context: tokens in a window.
        free: bytes that may still be used.
        together: see `window_bytes`.

    Raises:
        RequestError: they do not fit; the message names the longest context that does.
    """
    weights = _FLOAT_BYTES * file.n_params
    needed, left = window_bytes(file, graph, together), free - weights
    if needed(context) <= left:
        return
    fitting = [length for length in range(_SHORTEST, context, 2) if needed(length) <= left]
    if not fitting:  # the weights alone fill the memory: shorter windows would not help
        return
    raise RequestError(
        f"--context {context}: windows take about {needed(context) / _GIGABYTE:,.1f} GB beside "
        f"{weights / _GIGABYTE:,.1f} GB of float32 weights, and {free / _GIGABYTE:,.1f} GB are free; "
        f"use --context {fitting[-1]} or less"
    )


def beyond_training(file: ModelFile, context: int) -> str | None:
    """Return a notice if windows are longer than the model was made for."""
    longest = made_for(file)
    if longest is None or context <= longest:
        return None
    return (
        f"--context {context} is beyond the {longest:,} tokens that {file.name} was made for: "
        "numbers say little about its use"
    )
