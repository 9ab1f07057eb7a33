"""Say what was measured: texts, tokens, machines and days."""

from __future__ import annotations

from dashboard.results.scope import Scope
from dashboard.style import formats


def provenance(scope: Scope) -> str:
    """Return texts, tokens, device and date of the measurement, for a caption."""
    domains = scope.selection.domains & set(scope.results.domains) or set(scope.results.domains)
    texts = formats.listing(sorted(domains), 5)
    tokens = tokens_in_words(scope)
    return f"Text: {texts}; scored: {tokens}; {measured_on(scope)}; {dates(scope)}."


def measured_on(scope: Scope) -> str:
    """Return the names of the selected variants' devices, in the machines of their models' runs."""
    runs = {run.model: run for run in scope.runs}
    places = sorted(set(scope.frame.select("device", "model").iter_rows())) or [("", "")]
    manifest = scope.results.manifest
    names = [formats.device(runs.get(model, manifest), device) for device, model in places]
    return formats.listing(list(dict.fromkeys(names)))


def dates(scope: Scope) -> str:
    """Return the days on which the runs of the selected models began."""
    return formats.listing(sorted({f"{run.started:%Y-%m-%d}" for run in scope.runs}))


def tokens_in_words(scope: Scope) -> str:
    """Return the number of scored tokens as text, of each model; under a filter of tokens, with the total."""
    words = _tokens(scope)
    if len(set(words.values())) > 1:
        return formats.listing([f"{text} of {model}" for model, text in words.items()])
    return _in_brief(words)


def _tokens(scope: Scope) -> dict[str, str]:
    """Return the number of scored tokens as text by model, the first measured first."""
    totals = dict(scope.results.variants.select("variant_id", "n_tokens").iter_rows())
    order = {model: place for place, model in enumerate(scope.results.models)}
    words = {}
    for base in sorted(scope.baselines.to_dicts(), key=lambda row: order.get(row["model"], len(order))):
        total = f"{formats.count(totals[base['variant_id']])} tokens"
        part = f"{formats.count(base['n_tokens'])} of " if scope.selection.filters_tokens else ""
        words[str(base["model"])] = part + total
    return words


def _in_brief(words: dict[str, str]) -> str:
    """Return the numbers of tokens without the models' names, which the screen has in the same order above."""
    different = list(dict.fromkeys(words.values()))
    return formats.listing(different) + (" per model" if len(different) < len(words) else "")


def status(scope: Scope) -> list[str]:
    """Return the parts of the status bar."""
    runs = scope.runs
    shown, total = scope.frame.height, scope.results.measured.height
    texts = {(text.domain, text.name, text.sha256) for run in runs for text in run.texts}
    named = f"{len(texts)} text{'s' if len(texts) != 1 else ''}"
    chosen = sum(domain in scope.selection.domains for domain, *_ in texts)
    parts = [
        f"{shown} of {total} variants",
        f"{chosen} of {named}" if scope.selection.domains else named,
        _in_brief(_tokens(scope)),
        measured_on(scope),
        f"measured {dates(scope)}",
    ]
    if any(run.ended is None for run in runs):
        planned = sum(run.n_planned or 0 for run in runs)
        of_planned = f" of {planned}" if all(run.n_planned for run in runs) else ""
        parts.append(f"run in progress: {total}{of_planned} measured")
    if failures := sum(len(run.failures) for run in runs):
        parts.append(f"{failures} failed")
    if problems := scope.results.problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        parts.append(f"skipped: {problems[0]}{more}")
    return parts
