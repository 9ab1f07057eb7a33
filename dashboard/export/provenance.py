"""Texts that say where exported numbers come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import polars as pl

from dashboard.insights.notices import by_model
from dashboard.insights.picks import names
from dashboard.results.scope import Scope
from dashboard.shell import filters
from dashboard.shell.measured import dates, measured_on, tokens_in_words
from dashboard.shell.naming import model_name
from dashboard.style import formats
from evaluator.results.manifest import Manifest


def texts_and_tokens(scope: Scope) -> str:
    """Return texts, scored tokens, device and date: the line under a picture."""
    domains = sorted(scope.selection.domains & set(scope.results.domains) or set(scope.results.domains))
    parts = [f"text: {formats.listing(domains, 5)}", tokens_in_words(scope)]
    parts += [measured_on(scope), f"measured {dates(scope)}"]
    return " · ".join(part for part in parts if part)


def filters_in_words(scope: Scope) -> str:
    """Return the active filters as text; empty without filters."""
    return "; ".join(f"{name} {text}" for name, text, _ in filters.chips(scope.selection, scope.results))


def footer(scope: Scope) -> str:
    """Return results, model, revision, texts, tokens, device, date and filters in one line."""
    parts = [f"results “{scope.results.folder.resolve().name}”", model_name(scope)]
    if revision := _by_model(scope, lambda run: [(run.git_revision or "")[:10]]):
        parts.append(f"revision {revision}")
    parts.append(texts_and_tokens(scope))
    named = {"filters": filters_in_words(scope), "picked": names(scope)}
    return " · ".join([*parts, *(f"{what}: {text}" for what, text in named.items() if text)])


def facts(scope: Scope) -> Mapping[str, str]:
    """Return the provenance as a table's rows: name and text."""
    rows = {
        "Results": scope.results.folder.resolve().name,
        "Model": model_name(scope),
        "Baseline": _by_model(scope, lambda run: [_baseline(scope, run)]),
        "Texts": _by_model(scope, _texts),
        "Scored": f"{tokens_in_words(scope)}, {_by_model(scope, _windows)}",
        "Selected": f"{scope.frame.height} of {scope.results.measured.height} variants",
        "Filters": filters_in_words(scope) or "none",
        "Picked": names(scope) or "none",
        "Machine": f"{measured_on(scope)}, {_by_model(scope, _settings)}",
        "Measured": formats.listing([f"{run.started:%Y-%m-%d %H:%M} UTC" for run in scope.runs]),
        "Revision": _by_model(scope, lambda run: [run.git_revision or "not recorded"]),
        "Packages": _by_model(scope, _packages, ", "),
    }
    if scope.in_engine:
        rows["Speed and memory"] = f"measured{scope.in_engine}"
    said = {
        "Notes of the run": _by_model(scope, lambda run: run.notices),
        "About the files": _by_model(scope, lambda run: [run.baseline_note or ""]),
    }
    return rows | {name: text for name, text in said.items() if text}


def _by_model(scope: Scope, said: Callable[[Manifest], Iterable[str]], separator: str = "; ") -> str:
    """Return what the runs of the selected models say, with the models' names where they differ."""
    told = by_model(scope, lambda run: filter(None, said(run)))
    return separator.join(map("".join, told))


def _baseline(scope: Scope, run: Manifest) -> str:
    rows = scope.results.variants.filter(pl.col("variant_id") == run.baseline_id)
    base = rows.row(0, named=True) if rows.height else scope.results.baseline
    return f"{base['quant']}, sha256 {str(base['sha256'])[:12]}"


def _texts(run: Manifest) -> list[str]:
    return [f"{text.domain}: {text.name}, sha256 {text.sha256[:12]}" for text in run.texts]


def _windows(run: Manifest) -> list[str]:
    return [f"windows of {run.protocol.context}, scored from {run.protocol.first_scored} on"]


def _settings(run: Manifest) -> list[str]:
    return [f"{run.threads} threads, {run.provider}"]


def _packages(run: Manifest) -> list[str]:
    return [f"{name} {version}" for name, version in sorted(run.packages.items())]
