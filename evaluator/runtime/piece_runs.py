"""Run a piece's session on parts of a long window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from evaluator.export.composing.attention import TEMPERATURE
from evaluator.export.composing.builder import POSITIONS
from evaluator.export.fusion.attention import SEQLENS, TOTAL_LENGTH
from evaluator.export.fusion.fuse import Heads
from evaluator.export.piece_model import OUTPUT, PAST, PRESENT, SQUARES, STREAM
from evaluator.runtime.session import Array, Session

#: Input of the graph that gathers rows.
ROWS = "rows"

Values = npt.NDArray[np.float32]
Inputs = Mapping[str, Array | ort.OrtValue]


def run_blocks(
    session: Session,
    streams: Inputs,
    weights: Inputs,
    target: ort.OrtValue,
    size: int,
) -> list[dict[str, ort.OrtValue]]:
    """Run a piece on blocks of positions that do not affect one another; return the outputs of each run.

    Args:
        session: of the piece.
        streams: its inputs on the CPU, [1, length, …] each.
        weights: its weights; others are ignored.
        target: where its output goes.
        size: positions of a block.
    """
    arrays = {
        name: values.numpy() if isinstance(values, ort.OrtValue) else values
        for name, values in streams.items()
    }
    used, whole, ran = taken(session, weights), target.numpy(), []
    for start in range(0, whole.shape[1], size):
        block = slice(start, start + size)
        inputs = {name: values[:, block] for name, values in arrays.items()}
        ran.append(session.run_into({**inputs, **used}, outputs(session, whole[:, block])))
    return ran


def run_chunks(
    session: Session, heads: Heads, streams: tuple[Values, Values], weights: Inputs, common: Inputs, size: int
) -> dict[str, Values]:
    """Run attention on chunks of one window, each with the keys and values of the chunks before.

    Args:
        session: of the piece, see `with_past`.
        heads: the sizes of its keys and values.
        streams: its input and its output, float32 [1, length, width] each.
        weights: its weights.
        common: its inputs besides stream and weights, for the whole window.
        size: positions of a chunk.

    Returns:
        Sums of squares by weight input, float32 [channels], if the piece computes them.
    """
    stream, target = streams
    nothing = np.zeros((1, heads.kv_heads, 0, heads.width), np.float32)
    past: dict[str, Array | ort.OrtValue] = dict.fromkeys(PAST, nothing)
    total: dict[str, Values] = {}
    length = stream.shape[1]
    for start in range(0, length, size):
        end = min(start + size, length)
        lengths = {SEQLENS: np.array([end - 1], np.int32), TOTAL_LENGTH: np.array([end], np.int32)}
        others = {
            name: lengths.get(name, _chunk(name, values, start, end)) for name, values in common.items()
        }
        inputs = {STREAM: stream[:, start:end], **weights, **others, **past}
        ran = session.run_into(inputs, outputs(session, target[:, start:end]))
        past = dict(zip(PAST, (ran[name] for name in PRESENT), strict=True))
        _add(total, squares_of(ran))
    return total


def _chunk(name: str, values: Array | ort.OrtValue, start: int, end: int) -> Array | ort.OrtValue:
    """Return the part of an input that belongs to a chunk of positions; tables of rotations serve as a whole."""
    if not isinstance(values, np.ndarray):
        return values
    if name == POSITIONS:
        return values[:, start:end]
    return values[start:end] if name.startswith(TEMPERATURE) else values


def outputs(session: Session, target: Values | ort.OrtValue) -> dict[str, ort.OrtValue | None]:
    """Return all outputs of a piece, the stream to be written to `target`."""
    held = target if isinstance(target, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(target)
    return {name: held if name == OUTPUT else None for name in session.output_names}


def taken(session: Session, weights: Inputs) -> Inputs:
    """Return the weights that a session has as inputs."""
    return {name: values for name, values in weights.items() if name in session.input_names}


def squares_of(ran: Mapping[str, ort.OrtValue]) -> dict[str, Values]:
    """Return the sums of squares among a run's outputs, by weight input."""
    return {
        name.removeprefix(SQUARES): value.numpy() for name, value in ran.items() if name.startswith(SQUARES)
    }


def total_squares(ran: Sequence[Mapping[str, ort.OrtValue]]) -> dict[str, Values]:
    """Return the sums of squares of several runs together."""
    total: dict[str, Values] = {}
    for item in ran:
        _add(total, squares_of(item))
    return total


def _add(total: dict[str, Values], part: Mapping[str, Values]) -> None:
    for name, values in part.items():
        total[name] = total[name] + values if name in total else values


def row_graph() -> onnx.ModelProto:
    """Build the graph that gathers rows: `stream` float32 [windows, length, hidden], `rows` int64 [n]."""
    graph = helper.make_graph(
        [helper.make_node("Gather", [STREAM, ROWS], [OUTPUT], axis=1)],
        "rows",
        [
            helper.make_tensor_value_info(STREAM, TensorProto.FLOAT, None),
            helper.make_tensor_value_info(ROWS, TensorProto.INT64, None),
        ],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
