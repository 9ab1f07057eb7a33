"""The comparison as Markdown, for a repository or a model card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from dashboard.export.exhibit import Exhibit, exhibits
from dashboard.export.findings import PLUS_MINUS, findings
from dashboard.export.provenance import facts, footer
from dashboard.insights import Insight
from dashboard.insights.claim_rules import DECODE_TIME
from dashboard.insights.comparison import change, log_ratio
from dashboard.insights.engine_gap import GAP, words
from dashboard.insights.summary import rules
from dashboard.results.engines import ENGINE, column_of
from dashboard.results.rows import Row, plus_minus
from dashboard.results.scope import Scope
from dashboard.shell.naming import model_name
from dashboard.style import columns, formats
from dashboard.style.glossary import used
from evaluator.metrics import columns_of

_SIGNS = {"finding": "", "tie": "≈ ", "caution": "Note: ", "unknown": "Cannot tell: ", "note": ""}
_PLUS_MINUS = f"{PLUS_MINUS} Empty cells were not measured."
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def report(scope: Scope, pictures: Mapping[str, str] | None = None) -> str:
    """Return the report; `pictures` are file names by view, for views that have one."""
    words = findings(scope)
    rows = scope.rows
    parts = [f"# {_plain(model_name(scope))}: quantized versions compared", _plain(words.answer)]
    parts += ["## Recommendations", _bullets(words.recommendations)]
    parts += ["## Summary", _table(words.heads, words.table) if words.table else "Nothing is selected."]
    parts += [
        "Rules behind the table:",
        "\n".join(f"- **{name}**: {_plain(rule)}" for name, rule in rules(scope).items()),
    ]
    parts += [_plain(words.claims)]
    with formats.in_one_unit(scope.results.variants["size_bytes"]):
        parts += ["## Variants", _variants(scope, rows), _PLUS_MINUS] if rows else []
    for shown in exhibits(scope):
        parts += _section(shown, (pictures or {}).get(shown.slug))
    parts += [
        "## Words",
        "\n".join(f"- **{_plain(term.name)}**: {_plain(term.meaning)}" for term in used(parts)),
        "## Notes",
        _bullets(words.notes),
        "## Provenance",
        _table(("", ""), facts(scope).items()),
    ]
    parts += [f"*{_plain(footer(scope))}*"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(shown: Exhibit, picture: str | None) -> list[str]:
    parts = [f"## {_plain(shown.heading)}", f"**{_plain(shown.title)}**"]
    if shown.reason:
        return [*parts, _plain(shown.reason)]
    if picture:
        parts.append(f"![{_plain(shown.title)}]({picture})")
    claims = [
        f"- Claim {claim.wording}: {_plain(claim.text)} ({_plain(claim.evidence)})" for claim in shown.claims
    ]
    counted = [f"Claims, tested here: {_plain(shown.counted)}"] if claims else []
    texts = [_plain(shown.picked), _plain(shown.caption), _bullets(shown.insights)]
    return [*parts, *texts, *counted, "\n".join(claims)]


def _variants(scope: Scope, rows: Sequence[Row]) -> str:
    """Return the table of variants, without the columns that none of them has."""
    heads = (
        "Variant",
        "Bits",
        "Size",
        "PPL",
        "Change of PPL",
        "Mean KLD (nats)",
        "Same top token",
        f"Decode{scope.in_engine} (ms)",
        f"{words(scope.engine).head} (nats)",
    )
    picked = scope.selection.picked
    lines = [_variant(row, "picked" if row["variant_id"] in picked else "") for row in rows]
    kept = [place for place in range(len(heads)) if place == 0 or any(line[place] for line in lines)]
    shown = [[line[place] for place in kept] for line in lines]
    return _table([heads[place] for place in kept], shown, right=len(kept) - 1)


def _variant(row: Row, mark: str) -> list[str]:
    spread = plus_minus(row, "kld_mean", "kld_se") if row["kld_mean"] is not None else ""
    return [
        f"{row['label']} ({mark})" if mark else row["label"],
        _cell(row, "bits_per_weight"),
        _cell(row, "size_bytes"),
        _cell(row, "ppl") or _failed(row),
        change(log_ratio(row)) if row["ln_ppl_ratio"] is not None else "",
        _cell(row, "kld_mean") + spread,
        _cell(row, "same_top"),
        _run_cell(row, DECODE_TIME[1]),
        _run_cell(row, GAP),
    ]


def _cell(row: Row, name: str) -> str:
    return "" if row[name] is None else columns.cell(columns_of()[name], row[name])


def _run_cell(row: Row, name: str) -> str:
    """Write a value as run in the chosen engine."""
    column = column_of(row[ENGINE], name)
    return "" if column is None or row[name] is None else columns.cell(column, row[name])


def _failed(row: Row) -> str:
    return f"failed: {row['failure']}" if row["failure"] else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: int = 0) -> str:
    """Return a table whose last `right` columns are right-aligned."""
    marks = ["---"] * (len(heads) - right) + ["---:"] * right
    lines = [heads, marks, *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bullets(insights: Sequence[Insight]) -> str:
    return "\n".join(_bullet(item) for item in insights)


def _bullet(insight: Insight) -> str:
    detail = f" ({_plain(insight.detail)})" if insight.detail else ""
    line = f"- {_SIGNS[insight.kind]}{_plain(insight.text)}{detail}"
    return "\n".join([line, *(f"  - {_plain(remark)}" for remark in insight.remarks)])


def _plain(text: str) -> str:
    """Escape markup of Markdown and HTML."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("\\<", "&lt;").replace("\\>", "&gt;")
