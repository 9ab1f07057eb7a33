"""Judge the claims of view 3: where in the model the damage is."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from dashboard.insights import Claim
from dashboard.insights.claim_rules import BARTOWSKI, MAIN, UNSLOTH, Case, absent, unknown, untestable
from dashboard.insights.claims import JUDGES
from dashboard.insights.layer_measures import ATTRIBUTION, Measure, having, shared
from dashboard.insights.layers import (
    EVEN,
    LEAST_LAYERS,
    SLIGHT,
    Values,
    attention_share,
    cells,
    concentration,
    depth,
    first_third,
    last_part,
    times,
)
from dashboard.insights.matching import one_type, types_of
from dashboard.results.rows import Row, by_method
from dashboard.results.statistics import Estimate
from dashboard.style import formats

_NOTICEABLE = 0.02
_ATTENTION = "Attention layers are more sensitive than feed-forward."
_CONCENTRATED = "main's damage is concentrated on few layers, bartowski's is even."
_EARLY = "unsloth's early layers are hit harder than its later ones."
_LAST = "The last layers are affected less."


@dataclass(frozen=True)
class _Compared:
    """One file per method, the measure that they share, and the methods of which no file has it."""

    case: Case
    measure: Measure
    rows: Mapping[str, Row]
    values: Mapping[str, Values]
    unmeasured: Collection[str]

    @classmethod
    def of(cls, case: Case) -> _Compared | None:
        """Compare measured files of one type by the most telling measure that all of them have; None without any."""
        results = case.scope.results
        rows = one_type(having(results, case.rows))
        measure = shared(results, rows)
        if measure is None:
            return None
        values = cells(results, rows, measure)
        known = {str(row["method"]): row for row in rows if values[row["variant_id"]]}
        return cls(
            case,
            measure,
            known,
            {method: values[row["variant_id"]] for method, row in known.items()},
            by_method(case.rows).keys() - by_method(having(results, case.rows, measure)).keys(),
        )

    def name(self, method: str) -> str | None:
        """Return a compared method's name as spelled in this folder; None if none of its files is compared."""
        return next((name for name in self.rows if name.lower() == method), None)

    @property
    def gone(self) -> str:
        """Name the methods of which no file has the measure, as a sentence that follows; empty if all have it."""
        return f" Not measured of {formats.listing(sorted(self.unmeasured))}." if self.unmeasured else ""

    def where(self, methods: Collection[str]) -> str:
        """Name the measure, and the types of the files of some methods."""
        return f"by {self.measure.noun}, {types_of([self.rows[method] for method in methods])}"

    def lacking(self, text: str, *methods: str) -> Claim:
        """Return a claim about methods of which at least one has no compared file, with what is missing."""
        gone = [method for method in methods if self.name(method) is None]
        unmeasured = [method for method in gone if method in map(str.lower, self.unmeasured)]
        if unmeasured:
            how = "run with --attribution" if self.measure is ATTRIBUTION else "run without --no-layers"
            return untestable(text, f"{self.measure.noun} of a file of {formats.listing(unmeasured)}: {how}")
        if len(methods) == 1 and self.case.name(gone[0]) is None:
            return absent(text, self.case, gone[0])
        return untestable(text, f"a file of {formats.listing(gone)} of a type that the others have")


@JUDGES.register("layers")
def claims(case: Case) -> list[Claim]:
    """Judge attention, concentration, early and last layers on variants of one type, by a measure that they share."""
    compared = _Compared.of(case)
    if compared is None:
        missing = (
            "errors per layer (layers.parquet): run without --no-layers" if case.rows else "a selected file"
        )
        return [untestable(text, missing) for text in (_ATTENTION, _CONCENTRATED, _EARLY, _LAST)]
    unsloth = compared.name(UNSLOTH)
    early = partial(_ratio, _EARLY, compared, "first third / rest", first_third)
    return [
        _ratio(_ATTENTION, compared, "attention / feed-forward", attention_share),
        _concentrated(compared),
        compared.lacking(_EARLY, UNSLOTH) if unsloth is None else early(alone=unsloth),
        _ratio(_LAST, compared, "last tenth and head / rest", last_part, more=False),
    ]


def _ratio(
    text: str,
    compared: _Compared,
    ratio: str,
    of: Callable[[Values], Estimate | None],
    *,
    alone: str | None = None,
    more: bool = True,
) -> Claim:
    """Judge that the log ratio of one method, or of every one, is above 0 (`more`) or below it."""
    methods = list(compared.values) if alone is None else [alone]
    values = {method: value for method in methods if (value := of(compared.values[method])) is not None}
    if not values:
        files = f"the compared files of {formats.listing(methods)}"
        return untestable(text, f"{compared.measure.noun} of enough layers of {files} ({ratio})")
    ratios = formats.listing([f"{method} {times(value)}" for method, value in values.items()], 6)
    evidence = f"{ratios}: {ratio} {compared.where(values)}, 95 % over layers."
    return harder(text, values, evidence + (compared.gone if alone is None else ""), more=more)


def harder(text: str, values: Mapping[str, Estimate], evidence: str, *, more: bool) -> Claim:
    """Judge that every log ratio is above 0 (`more`) or below it.

    It fails, too, if one does not measurably differ from 0 and its interval excludes what is more than slight.
    """
    towards = {method: value.times(1 if more else -1) for method, value in values.items()}
    if all(value.low > 0 for value in towards.values()):
        return Claim(text, "holds", evidence)
    if any(value.high < 0 for value in towards.values()):
        return Claim(text, "fails", evidence)
    level = [method for method, value in towards.items() if value.low <= 0 and value.high < SLIGHT]
    if not level:
        return unknown(text, evidence)
    bound = formats.number(math.exp(SLIGHT if more else -SLIGHT), 3)
    return Claim(text, "fails", f"{evidence} The interval of {formats.listing(level)} excludes {bound} ×.")


def _concentrated(compared: _Compared) -> Claim:
    main, bartowski = compared.name(MAIN), compared.name(BARTOWSKI)
    if main is None or bartowski is None:
        return compared.lacking(_CONCENTRATED, MAIN, BARTOWSKI)
    ours, theirs = (concentration(depth(compared.values[method])) for method in (main, bartowski))
    if ours is None or theirs is None:
        return untestable(_CONCENTRATED, f"{compared.measure.noun} of at least {LEAST_LAYERS} layers")
    numbers = f"main {formats.number(ours, 2)}, bartowski {formats.number(theirs, 2)}"
    scale = f"0 even, 1 all in one layer; under {EVEN} counts as even"
    where = compared.where((main, bartowski))
    return concentrated(ours, theirs, f"Gini coefficient over layers {where}: {numbers} ({scale}).")


def concentrated(ours: float, theirs: float, evidence: str) -> Claim:
    """Judge from the Gini coefficients of main (`ours`) and bartowski; undecided near the bound."""
    if ours <= EVEN - _NOTICEABLE or theirs >= EVEN + _NOTICEABLE:
        return Claim(_CONCENTRATED, "fails", evidence)
    if ours >= EVEN + _NOTICEABLE and theirs <= EVEN - _NOTICEABLE:
        return Claim(_CONCENTRATED, "holds", evidence)
    return unknown(_CONCENTRATED, f"{evidence} Values within {_NOTICEABLE} of that bound do not decide.")
