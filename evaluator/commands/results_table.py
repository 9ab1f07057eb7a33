"""Show a results folder: each model's variants from large to small, each compared with the next smaller one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table

from evaluator.metrics.pairwise import PAIR_METRICS, between
from evaluator.models.naming import told_apart
from evaluator.results.files import PAIRS, VARIANTS
from evaluator.results.manifest import Manifest
from evaluator.results.reader import read_frame, read_manifest
from evaluator.support.terminal import table_of
from evaluator.support.units import MEGABYTE

Row = dict[str, Any]
_LN_PPL, _KLD = PAIR_METRICS
#: Shown in place of PPL where every token of a variant is non-finite.
_UNUSABLE = "no usable token"


def inspect_results(folder: Path) -> tuple[dict[str, Any], RenderableType]:
    """Return a results folder's content as data and as a table.

    Raises:
        ResultsFileError: its manifest or one of its frames cannot be read, or has another schema version.
    """
    manifest = read_manifest(folder)
    variants = read_frame(folder, VARIANTS).sort("size_bytes", "variant_id", descending=True)
    rows = variants.to_dicts()
    pairs = read_frame(folder, PAIRS)
    steps: list[Row] = []
    tables: list[Table] = []
    for part in manifest.each:
        # A renamed baseline's rows keep the name they were measured under.
        own = [row for row in rows if row["model"] == part.model] if manifest.others else rows
        between_sizes = neighbours(own, pairs)
        tables += [_variants(part, own), *([_steps(own, between_sizes)] if between_sizes else [])]
        steps += between_sizes
    facts = {"manifest": manifest.model_dump(mode="json"), "variants": rows, "neighbours": steps}
    return facts, Group(*tables)


def neighbours(rows: list[Row], pairs: pl.DataFrame) -> list[Row]:
    """Compare each variant with the next smaller one by every metric; `rows` go from large to small."""
    measured = [row["variant_id"] for row in rows if not row["is_baseline"]]
    steps = (between(pairs, a, b, metric) for a, b in pairwise(measured) for metric in PAIR_METRICS)
    return [step for step in steps if step is not None]


def _variants(manifest: Manifest, rows: list[Row]) -> Table:
    floor, caption = manifest.noise_floor, ""
    if floor is not None:
        caption = f"noise floor: rounding the baseline's weights to bf16 costs a KLD of {floor.kld_mean:.5f}"
    kinds = [
        name.removeprefix(f"{row['method']} ") for row, name in zip(rows, _told_apart(rows), strict=True)
    ]
    cells = (
        (
            row["method"],
            kind,
            f"{row['bits_per_weight']:.3f}",
            f"{row['size_bytes'] / MEGABYTE:,.1f}",
            _UNUSABLE if row["n_nonfinite"] == row["n_tokens"] else _number(row["ppl"], "{:.4f}"),
            _number(row["kld_mean"], "{:.5f}"),
            _number(row["same_top"], "{:.1%}"),
        )
        for row, kind in zip(rows, kinds, strict=True)
    )
    headers = ("method", "quant", "bits per weight", "MB", "PPL", "KLD", "same top")
    return table_of(headers, cells, manifest.model, caption)


def _told_apart(rows: list[Row]) -> list[str]:
    """Return method and quant type of each row, with the file's name where several rows share both."""
    labels = [f"{row['method']} {row['quant']}" for row in rows]
    names = ([row[column] for row in rows] for column in ("source", "variant_id"))
    return told_apart(labels, *names)


def _number(value: float | None, template: str) -> str:
    return "" if value is None else template.format(value)


def _steps(rows: list[Row], steps: list[Row]) -> Table:
    """Return the table of neighbours: which is better, by how much, and the 95 % interval."""
    labels = dict(zip((row["variant_id"] for row in rows), _told_apart(rows), strict=True))
    compared = {(step["a"], step["b"], step["metric"]): step for step in steps}
    cells = (
        (labels[a], labels[b], *(_verdict(compared.get((a, b, metric))) for metric in (_KLD, _LN_PPL)))
        for a, b in dict.fromkeys((step["a"], step["b"]) for step in steps)
    )
    caption = "nats saved, paired by token; 95 % intervals by bootstrap over windows"
    return table_of(("variant", "next smaller", "by KLD", "by ln PPL"), cells, caption=caption)


def _verdict(step: Row | None) -> str:
    if step is None:
        return ""
    saved = -step["difference"]
    if step["verdict"] is None:
        return f"{saved:.4f} (one window, no interval)"
    return f"{step['verdict']}: {saved:.4f} ({-step['ci_high']:.4f} to {-step['ci_low']:.4f})"
