"""What travels between the machine that started a run and the nodes of a cluster."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.comparison.cluster.node_check import check_windows, program
from evaluator.comparison.layers.attribution import Attribution
from evaluator.comparison.variant_stages import ScoredVariant, VariantStages
from evaluator.export.exact.graph import Graph
from evaluator.export.exact.graph_files import GraphFiles, read_files
from evaluator.models.sources.reference import ModelReference
from evaluator.planning.plan import Candidate, Plan
from evaluator.results.manifest import Node
from evaluator.texts.windows import Window, n_scored

Values = npt.NDArray[np.float32]
Stage = Literal["score", "attribute"]


@dataclass(frozen=True)
class Job:
    """What the tasks of one run share; sent to each node once.

    Attributes:
        key: names this run.
        baseline: the baseline.
        windows: the windows.
        graph: the files of the graph.
        device: kind of device that every node must have.
        threads: threads of a task.
        half: whether to compute in half precision.
        memory_bytes: memory of a task.
        program: what must be equal on every node; see `node_check.program`.
        nll: the baseline's nll in nats for the `check_windows`, NaN where not finite, float32 [tokens].
        hidden: the baseline's final hidden states, float32 [windows, scored tokens, hidden]; None without scoring.
        residuals: the sample of the baseline's residual stream, float32 [points, windows, rows, hidden]; None
            without layers.
    """

    key: str
    baseline: ModelReference
    windows: tuple[Window, ...]
    graph: GraphFiles
    device: Literal["cpu", "cuda"]
    threads: int
    half: bool
    memory_bytes: int
    program: dict[str, str]
    nll: Values
    hidden: Values | None = None
    residuals: Values | None = None


@dataclass(frozen=True)
class Task:
    """A stage of one variant: `name` is the variant's id."""

    stage: Stage
    name: str
    model: ModelReference


@dataclass(frozen=True)
class Trouble:
    """Why a task failed; `of_node` if every task would fail on that node."""

    reason: str
    of_node: bool = False


@dataclass(frozen=True)
class Answer:
    """The result of a task, and the node that it is from."""

    node: Node
    result: ScoredVariant | Attribution | Trouble


def job_of(plan: Plan, stages: VariantStages, graph: Graph, tokens: pl.DataFrame, *, half: bool) -> Job:
    """Return what the nodes need for a run whose baseline is scored.

    Args:
        plan: the run.
        stages: the stages in this process.
        graph: the graph of all files.
        tokens: the baseline's token frame.
        half: whether to compute in half precision.

    Raises:
        EvaluatorError: the memory does not suffice for a task.
        OSError: a file of the baseline cannot be read.
    """
    scorer, device = stages.scorer, plan.device
    checked = check_windows(scorer.model(device), plan.windows)
    nll = tokens["nll"].head(n_scored(checked)).fill_null(np.nan)
    hidden = stages.hidden()
    residuals = None
    if hidden is not None and stages.stream is not None:
        residuals = np.asarray(stages.stream.values())
    return Job(
        key=uuid.uuid4().hex[:12],
        baseline=reference_of(plan.baseline),
        windows=plan.windows,
        graph=read_files(graph),
        device=device.name,
        threads=device.threads,
        half=half,
        memory_bytes=scorer.host_bytes(plan.windows, device),
        program=program(),
        nll=nll.to_numpy().astype(np.float32),
        hidden=None if hidden is None else np.asarray(hidden),
        residuals=residuals,
    )


def reference_of(item: Candidate) -> ModelReference:
    """Return how nodes find a file of the plan."""
    return ModelReference.of(item.file, item.sha256)
