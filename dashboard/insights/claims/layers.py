"""Judge the claims of view 3: where in the model the damage is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dashboard.insights import Claim
from dashboard.insights.claim_rules import BARTOWSKI, MAIN, UNSLOTH, Case, absent, unknown, untestable
from dashboard.insights.claims import JUDGES
from dashboard.insights.layers import (
    EVEN,
    Values,
    attention_share,
    cells,
    concentration,
    depth,
    first_third,
    last_part,
    measured,
    times,
)
from dashboard.insights.matching import one_type
from dashboard.results.statistics import Estimate
from dashboard.style import formats

_NOTICEABLE = 0.02
_ATTENTION = "Attention layers are more sensitive than feed-forward."
_CONCENTRATED = "main's damage is concentrated on few layers, bartowski's is even."
_EARLY = "unsloth's early layers are hit harder than its later ones."
_LAST = "The last layers are affected less."


@JUDGES.register("layers")
def claims(case: Case) -> list[Claim]:
    """Judge attention, concentration, early and last layers on variants of one type, by the most telling measure."""
    layers = case.scope.results.layers()
    known = measured(layers) if layers is not None else []
    rows = one_type(case.rows)
    if not known or not rows:
        missing = "errors per layer (layers.parquet): run without --no-layers" if rows else "a selected file"
        return [untestable(text, missing) for text in (_ATTENTION, _CONCENTRATED, _EARLY, _LAST)]
    values = cells(case.scope.results, rows, known[0])
    shown = {row["method"]: str(row["variant_id"]) for row in rows}
    where = f"by {known[0].noun}, {formats.listing(sorted({row['quant'] for row in rows}))}"
    unsloth = {method: name for method, name in shown.items() if method.lower() == UNSLOTH}
    early = _ratio(_EARLY, values, unsloth, f"first third / rest {where}", first_third, more=True)
    return [
        _ratio(_ATTENTION, values, shown, f"attention / feed-forward {where}", attention_share, more=True),
        _concentrated(values, shown, where),
        early if unsloth else absent(_EARLY, case, UNSLOTH),
        _ratio(_LAST, values, shown, f"last tenth and head / rest {where}", last_part, more=False),
    ]


def _ratio(
    text: str,
    values_of: Mapping[str, Values],
    shown: Mapping[str, str],
    ratio: str,
    of: Callable[[Values], Estimate | None],
    *,
    more: bool,
) -> Claim:
    """Judge that every method's log ratio is above 0 (`more`) or below it."""
    values = {method: value for method, name in shown.items() if (value := of(values_of[name])) is not None}
    if not values:
        return untestable(
            text, f"errors of enough layers of the compared files of {formats.listing(list(shown))} ({ratio})"
        )
    ratios = formats.listing([f"{method} {times(value)}" for method, value in values.items()], 6)
    evidence = f"{ratios}: {ratio}, 95 % over layers."
    above, below = [v.low > 0 for v in values.values()], [v.high < 0 for v in values.values()]
    right, wrong = (above, below) if more else (below, above)
    if all(right):
        return Claim(text, "holds", evidence)
    return Claim(text, "fails" if any(wrong) else "unknown", evidence)


def _concentrated(values: Mapping[str, Values], shown: Mapping[str, str], where: str) -> Claim:
    names = {method.lower(): name for method, name in shown.items()}
    if MAIN not in names or BARTOWSKI not in names:
        lacking = [method for method in (MAIN, BARTOWSKI) if method not in names]
        return untestable(
            _CONCENTRATED, f"a file of {formats.listing(lacking)} of a type that the others have"
        )
    ours, theirs = (concentration(depth(values[names[method]])) for method in (MAIN, BARTOWSKI))
    if ours is None or theirs is None:
        return untestable(_CONCENTRATED, "errors of more layers")
    numbers = f"main {formats.number(ours, 2)}, bartowski {formats.number(theirs, 2)}"
    scale = f"0 even, 1 all in one layer; under {EVEN} counts as even"
    evidence = f"Gini coefficient over layers {where}: {numbers} ({scale})."
    return concentrated(ours, theirs, evidence)


def concentrated(ours: float, theirs: float, evidence: str) -> Claim:
    """Judge from the Gini coefficients of main (`ours`) and bartowski; undecided near the bound."""
    if ours <= EVEN - _NOTICEABLE or theirs >= EVEN + _NOTICEABLE:
        return Claim(_CONCENTRATED, "fails", evidence)
    if ours >= EVEN + _NOTICEABLE and theirs <= EVEN - _NOTICEABLE:
        return Claim(_CONCENTRATED, "holds", evidence)
    return unknown(_CONCENTRATED, f"{evidence} Values within {_NOTICEABLE} of that bound do not decide.")
