"""Put the engines side by side for one file: its loss as run, what running adds, speed and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.insights.answers import Answers
from dashboard.insights.candidates import USUAL_CONTEXT, own_type
from dashboard.insights.claim_rules import DECODE_TIME
from dashboard.insights.engine_gap import GAP, NOT_MEASURED, RUN_LOSS, loss_as_run, unknown_gap
from dashboard.insights.engines_compared import compared, others
from dashboard.insights.memory_need import memory_needs
from dashboard.insights.speed_order import per_second
from dashboard.insights.speeds import timed
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.style import formats


@dataclass(frozen=True)
class Cell:
    """A value in words, and what is said below it in small type."""

    text: str
    below: str = ""


@dataclass(frozen=True)
class InEngine:
    """A file as one engine runs it; what was not measured says so.

    `loss` (mean KLD from the baseline's exact weights) and `added` (from the file's own) are in nats per token,
    `decode` and `prefill` in tokens/s; `memory` is that of the context.
    """

    engine: str
    loss: Cell
    added: Cell
    decode: Cell
    prefill: Cell
    memory: Cell


@dataclass(frozen=True)
class FileInEngines:
    """One file in every engine, the chosen one first; `context` is in tokens, `told` says where it decodes faster."""

    row: Row
    context: int
    runs: tuple[InEngine, ...]
    told: str


def file_in_engines(scope: Scope, answers: Answers) -> FileInEngines | None:
    """Compare the engines for the only picked file, else for the recommended one.

    None without such a file, and in a folder whose files ran in one engine.
    """
    picked = [row for row in scope.rows if row["variant_id"] in scope.selection.picked]
    file = picked[0] if len(picked) == 1 else answers.chosen
    if file is None or not others(scope):
        return None
    context = answers.need.context or answers.among.context or USUAL_CONTEXT
    parts = [scope.narrowed(engine=engine) for engine in (scope.engine, *others(scope))]
    runs = tuple(_run(part, _of(file, part.rows), context) for part in parts)
    mine = [row for row in timed(scope, "decode") if row["variant_id"] == file["variant_id"]]
    told = [item.text for item in compared(scope, mine, "decode")[:1]]
    return FileInEngines(file, context, runs, told[0] if told else "")


def _of(file: Row, rows: Sequence[Row]) -> Row:
    return next(row for row in rows if row["variant_id"] == file["variant_id"])


def _run(scope: Scope, row: Row, context: int) -> InEngine:
    missing, prefill = unknown_gap(scope.selection), row["run_prefill_tps"]
    return InEngine(
        scope.engine,
        _loss(row, missing),
        Cell(missing if row[GAP] is None else formats.number(row[GAP], 2)),
        _decode(row),
        Cell(NOT_MEASURED if prefill is None else formats.number(prefill)),
        _memory(scope, row, context),
    )


def _loss(row: Row, missing: str) -> Cell:
    """Write the loss as run; if only its parts were measured, about their sum, as divergences do not add exactly."""
    if row[RUN_LOSS] is not None:
        return Cell(formats.number(row[RUN_LOSS], 2))
    if None in {row[GAP], row["kld_mean"]}:
        return Cell(missing)
    return Cell(f"about {formats.number(loss_as_run(row), 2)}", "own + added")


def _decode(row: Row) -> Cell:
    """Write the median and, below it, p10–p90."""
    low, middle, high = (per_second(row[name]) for name in reversed(DECODE_TIME))
    if middle is None:
        return Cell(NOT_MEASURED)
    return Cell(
        formats.number(middle), formats.ends([rate for rate in (low, high) if rate is not None] or [middle])
    )


def _memory(scope: Scope, row: Row, context: int) -> Cell:
    """Write what the file takes with the type of the cache that it was timed with, which stands below."""
    needs, name = memory_needs(scope.results), str(row["variant_id"])
    kind = own_type(scope, needs.types(name, scope.engine))
    known = needs.at(name, scope.engine, kind, context)
    return Cell(NOT_MEASURED) if known is None else Cell(formats.size(known.total), f"{kind} cache")
