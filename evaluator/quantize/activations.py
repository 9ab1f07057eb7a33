"""Measure an importance matrix as llama-imatrix does: mean squared activations that enter every matrix.

The text's tokens, with BOS in front if the model adds it, are cut into windows; BOS then replaces each window's
first token. All positions of a window count. Chats get no BOS in front: the model's template writes it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import parameter_tensors
from evaluator.export.pieces import Experts, Piece
from evaluator.models.model_file import ModelFile
from evaluator.models.tokenizers.tokenizer import TextTokenizer
from evaluator.runtime.device import Device
from evaluator.runtime.forward_pass import Advance, ForwardPass, shape_of
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.memory_plan import Budget, check_disk, plan_memory
from evaluator.runtime.pass_checkpoint import PassCheckpoint
from evaluator.support.atomic_files import scratch_beside
from evaluator.support.errors import RequestError
from evaluator.texts.sources import Text
from evaluator.texts.windows import Window, token_ids

Values = npt.NDArray[np.float32]


@dataclass
class Activations:
    """Squared inputs of a model's matrices.

    Attributes:
        sums: tensor → sum over all tokens, float64 [channels]; of a mixture's experts float64 [experts, channels],
            over the tokens of each.
        counts: tensor with experts → number of tokens of each, int64 [experts].
    """

    sums: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    counts: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    def add(self, tensor: str, squares: Values) -> None:
        """Add squares of what entered a matrix, float32 [channels]."""
        self.sums[tensor] = self.sums.get(tensor, 0) + squares.astype(np.float64)

    def add_expert(self, tensor: str, expert: int, n_experts: int, n_tokens: int, squares: Values) -> None:
        """Add squares of what entered an expert's matrix for some of its tokens, float32 [channels]."""
        if tensor not in self.sums:
            self.sums[tensor] = np.zeros((n_experts, len(squares)))
            self.counts[tensor] = np.zeros(n_experts, np.int64)
        self.sums[tensor][expert] += squares
        self.counts[tensor][expert] += n_tokens


def imatrix_windows(
    texts: Sequence[Text], tokenizer: TextTokenizer, context: int, chunks: int | None
) -> list[npt.NDArray[np.int64]]:
    """Return the token ids of every window of every text, int64 [context] each; at most `chunks` per text.

    Raises:
        RequestError: a text is shorter than one window.
    """
    windows: list[npt.NDArray[np.int64]] = []
    limit = chunks * context if chunks else None
    for text in texts:
        ids = token_ids(text, tokenizer, limit).astype(np.int64)
        if tokenizer.bos_id is not None and not text.control:
            ids = np.concatenate([[tokenizer.bos_id], ids])
        count = min(len(ids) // context, chunks or len(ids))
        if count == 0:
            raise RequestError(
                f"{text.name}: {len(ids)} tokens, one window needs {context}; use a longer text"
            )
        rows = ids[: count * context].reshape(count, context)
        if tokenizer.bos_id is not None:
            rows[:, 0] = tokenizer.bos_id
        windows.extend(rows)
    return windows


def squared_activations(
    file: ModelFile,
    graph: Graph,
    device: Device,
    windows: Sequence[npt.NDArray[np.int64]],
    advance: Advance = lambda share, where: None,
    memory: float | None = None,
    beside: Path | None = None,
) -> Activations:
    """Sum the squared inputs of each matrix in the blocks over all tokens.

    Args:
        file: the model.
        graph: its graph.
        device: where it runs.
        windows: token ids, each int64 [context].
        advance: called with the share that is done, and where it stands.
        memory: gigabytes that may be used; None for a share of what is free.
        beside: path beside which streams are kept that do not fit; None for the system's temporary folder.

    Raises:
        OSError: the disk is full.
        ExportError: the graph cannot be cut into layers.
        RequestError: activations are not finite, or the memory does not suffice.
    """
    model = LayeredModel(graph, device, squares=True)
    tensors, found = parameter_tensors(file), Activations()

    def add(piece: Piece, squares: Mapping[str, Values]) -> None:
        for name, values in squares.items():
            found.add(tensors[piece.weights[name].slot.parameter], values)

    def add_expert(experts: Experts, expert: int, n_tokens: int, squares: Mapping[str, Values]) -> None:
        for name, values in squares.items():
            tensor = experts.weights[name].slot.parameter
            found.add_expert(tensor, expert, file.tensor(tensor).shape[0], n_tokens, values)

    rows = [Window(index, "", ids.astype(np.int32), len(ids) - 2) for index, ids in enumerate(windows)]
    plan = plan_memory(model, file, shape_of(model, rows), Budget.on(device, memory))
    with ExitStack() as stack:
        checkpoint = None
        if plan.place == "disk":
            scratch = beside or Path(tempfile.gettempdir()) / "imatrix"
            elsewhere = "an --out on another disk" if beside else "a TMPDIR on another disk"
            check_disk(scratch.absolute().parent, 2 * plan.stream_bytes, elsewhere)
            folder = stack.enter_context(scratch_beside(scratch))
            checkpoint = PassCheckpoint(folder, "imatrix", "")
        passing = ForwardPass(model, file, rows, plan, None, add, add_expert, checkpoint, advance)
        for _ in passing.final_hidden():
            pass
    bad = [tensor for tensor, values in found.sums.items() if not np.isfinite(values).all()]
    if bad:
        raise RequestError(f"{file.path}: activations that enter {bad[0]} are not finite")
    return found
