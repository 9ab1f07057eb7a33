"""Where exported numbers come from, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashboard.results.results import Results
from dashboard.results.selection import Selection
from dashboard.shell import filters
from dashboard.shell.naming import model_name
from dashboard.shell.render import measured_on, tokens_in_words
from dashboard.style import formats


def texts_and_tokens(results: Results, selection: Selection) -> str:
    """Texts, scored tokens, device and date: the line under a picture."""
    manifest = results.manifest
    domains = sorted(selection.domains & set(results.domains) or set(results.domains))
    parts = [f"text: {formats.listing(domains, 5)}", tokens_in_words(results, selection)]
    parts += [measured_on(results, selection), f"measured {manifest.started:%Y-%m-%d}"]
    return " · ".join(part for part in parts if part)


def filters_in_words(results: Results, selection: Selection) -> str:
    """Say what was filtered; empty without filters."""
    return "; ".join(f"{name} {text}" for name, text, _ in filters.chips(selection, results))


def footer(results: Results, selection: Selection) -> str:
    """Name results, model, revision, texts, tokens, device, date and filters in one line."""
    manifest = results.manifest
    parts = [f"results “{results.folder.resolve().name}”", model_name(results, selection)]
    if manifest.git_revision:
        parts.append(f"revision {manifest.git_revision[:10]}")
    parts.append(texts_and_tokens(results, selection))
    filtered = filters_in_words(results, selection)
    return " · ".join([*parts, f"filters: {filtered}"] if filtered else parts)


def facts(results: Results, selection: Selection) -> Mapping[str, str]:
    """Return the provenance as named facts, for a table."""
    manifest = results.manifest
    protocol = manifest.protocol
    base: Mapping[str, Any] = results.baseline
    texts = [f"{text.domain}: {text.name}, sha256 {text.sha256[:12]}" for text in manifest.texts]
    windows = f"windows of {protocol.context}, scored from {protocol.first_scored} on"
    versions = [f"{name} {version}" for name, version in sorted(manifest.packages.items())]
    found = {
        "Results": results.folder.resolve().name,
        "Model": model_name(results, selection),
        "Baseline": f"{base['quant']}, sha256 {str(base['sha256'])[:12]}",
        "Texts": "; ".join(texts),
        "Scored": f"{tokens_in_words(results, selection)}, {windows}",
        "Selected": f"{results.select(selection).height} of {results.measured.height} variants",
        "Filters": filters_in_words(results, selection) or "none",
        "Machine": f"{measured_on(results, selection)}, {manifest.threads} threads, {manifest.provider}",
        "Measured": f"{manifest.started:%Y-%m-%d %H:%M} UTC",
        "Revision": manifest.git_revision or "not recorded",
        "Packages": ", ".join(versions),
    }
    if manifest.baseline_note:
        found["About the baseline"] = manifest.baseline_note
    return found
