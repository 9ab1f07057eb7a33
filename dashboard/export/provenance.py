"""Texts that say where exported numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashboard.insights.notices import by_model
from dashboard.insights.picks import names
from dashboard.results.scope import Scope
from dashboard.shell import filters
from dashboard.shell.measured import dates, measured_on, tokens_in_words
from dashboard.shell.naming import model_name
from dashboard.style import formats


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
    manifest = scope.results.manifest
    parts = [f"results “{scope.results.folder.resolve().name}”", model_name(scope)]
    if manifest.git_revision:
        parts.append(f"revision {manifest.git_revision[:10]}")
    parts.append(texts_and_tokens(scope))
    named = {"filters": filters_in_words(scope), "picked": names(scope)}
    return " · ".join([*parts, *(f"{what}: {text}" for what, text in named.items() if text)])


def facts(scope: Scope) -> Mapping[str, str]:
    """Return the provenance as a table's rows: name and text."""
    manifest = scope.results.manifest
    protocol = manifest.protocol
    base: Mapping[str, Any] = scope.results.baseline
    texts = [f"{text.domain}: {text.name}, sha256 {text.sha256[:12]}" for text in manifest.texts]
    windows = f"windows of {protocol.context}, scored from {protocol.first_scored} on"
    versions = [f"{name} {version}" for name, version in sorted(manifest.packages.items())]
    rows = {
        "Results": scope.results.folder.resolve().name,
        "Model": model_name(scope),
        "Baseline": f"{base['quant']}, sha256 {str(base['sha256'])[:12]}",
        "Texts": "; ".join(texts),
        "Scored": f"{tokens_in_words(scope)}, {windows}",
        "Selected": f"{scope.frame.height} of {scope.results.measured.height} variants",
        "Filters": filters_in_words(scope) or "none",
        "Picked": names(scope) or "none",
        "Machine": f"{measured_on(scope)}, {manifest.threads} threads, {manifest.provider}",
        "Measured": formats.listing([f"{run.started:%Y-%m-%d %H:%M} UTC" for run in scope.runs]),
        "Revision": manifest.git_revision or "not recorded",
        "Packages": ", ".join(versions),
    }
    if scope.in_engine:
        rows["Speed and memory"] = f"measured{scope.in_engine}"
    said = {
        "Notes of the run": by_model(scope, lambda run: run.notices),
        "About the files": by_model(scope, lambda run: filter(None, [run.baseline_note])),
    }
    return rows | {name: "; ".join(map("".join, told)) for name, told in said.items() if told}
