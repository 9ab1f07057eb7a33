"""Draw view 7: how the probability of the correct token changes, token by token."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.figures import charts, ridges
from dashboard.figures.drawing import Drawing
from dashboard.insights import Insight
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.picks import Telling
from dashboard.insights.siblings import Siblings, chosen_bands
from dashboard.insights.token_changes import (
    Ridge,
    closest,
    statements,
    subjects,
    tied_with_closest,
    title,
)
from dashboard.results.exported import distributions
from dashboard.results.rows import Row, complete, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.views import Option, View, absent_tokens

_MOST_NEAR, _MOST = 8, 40
_LANES = Option(
    "lanes",
    "Files",
    (("near", "of the recommended sizes"), ("every", "all")),
    applies=lambda scope: len(_measured(scope)) > _MOST_NEAR,
)
_SCALE = Option("scale", "Scale", (("linear", "linear"), ("symlog", "symmetric log")))


def figure(scope: Scope) -> Drawing:
    """Draw a lane per file, files of about one size together, fewest bits on top."""
    bands = _bands(scope)
    drawn = _ridges(scope, bands)
    if not drawn:
        return charts.message_figure("No selected variant has per-token data")
    compared = subjects(bands, drawn)
    named = {row["variant_id"] for row in tied_with_closest(compared)}
    told = ridges.Told(closest(compared)[0]["variant_id"], named)
    symlog = _SCALE.of(scope.selection) == "symlog"
    by_bits = sorted(bands, key=lambda band: band.bits)
    return ridges.figure(scope, by_bits, drawn, told, symlog=symlog)


def _measured(scope: Scope) -> list[Row]:
    """Return the filtered variants with a distribution."""
    rows = one_place(complete(scope.rows))
    return [row for row in rows if scope.delta(str(row["variant_id"])) is not None]


def _bands(scope: Scope) -> list[Siblings]:
    """Return the drawn files in bands, the most interesting first."""
    most = _MOST if _LANES.of(scope.selection) == "every" else _MOST_NEAR
    return chosen_bands(_measured(scope), scope.selection.picked, most)


def _ridges(scope: Scope, bands: Sequence[Siblings]) -> list[Ridge]:
    """Return the distributions of the drawn files, fewest bits first."""
    rows = [row for band in sorted(bands, key=lambda band: band.bits) for row in band.rows]
    found = ((row, scope.delta(str(row["variant_id"]))) for row in rows)
    return [(row, summary) for row, summary in found if summary is not None]


def headline(scope: Scope) -> str:
    """Name the narrowest distributions at one size, and the range of the middle 98 % of the narrowest one."""
    bands = _bands(scope)
    drawn = _ridges(scope, bands)
    if not drawn:
        return "No selected variant has per-token data"
    return title(bands, drawn, whole=len(drawn) == len(_measured(scope)))


def insights(scope: Scope) -> list[Insight]:
    """Compare widths at one size, the share near zero, tails and centres; name what is not drawn."""
    bands = _bands(scope)
    drawn = _ridges(scope, bands)
    if not drawn:
        return [NOTHING]
    result = statements(bands, drawn)
    passing = complete(scope.rows)
    kept = one_place(passing)
    if len(drawn) < len(kept):
        text = f"{len(drawn)} of {len(kept)} selected variants {'is' if len(drawn) == 1 else 'are'} drawn."
        result.append(Insight(text, "note", _rule(scope)))
    return [*result, *elsewhere(passing, kept)]


def _rule(scope: Scope) -> str:
    """Say which files are drawn."""
    if _LANES.of(scope.selection) == "every":
        return f"variants with per-token data, at most {_MOST}"
    return "variants with per-token data, of the recommended files' sizes and of picked files"


def _tells(scope: Scope) -> Telling:
    """Tell the range of the middle 98 % of a variant's tokens."""

    def middle(row: Row) -> str:
        known = scope.delta(str(row["variant_id"]))
        ends = [formats.signed(known.percentiles[mark].value, 2) for mark in (1.0, 99.0)] if known else []
        return f"{' to '.join(ends)} nats" if ends else ""

    return Telling("98 % of tokens", middle)


VIEW = View(
    id="delta-logp",
    tells=_tells,
    number=7,
    tab="Δ log p",
    title="Δ log p of the correct token",
    caption="Distribution over tokens of log p(variant) − log p(baseline) of the correct token, a lane per file. "
    "Files of about one size are together, and equal areas are equal shares of tokens among them. Marks below: p1, "
    "median and p99.",
    headline=headline,
    draw=figure,
    insights=insights,
    data=distributions,
    absent=absent_tokens,
    captions={
        "linear": "The middle 99 % of tokens are shown.",
        "symlog": "The scale is linear within ±0.02 nats; the middle 99.9 % of tokens are shown. Areas are shares of "
        "tokens on this scale, so that a hump on each side of 0 does not mean two kinds of tokens.",
        "near": f"At most {_MOST_NEAR} files: those of the recommended sizes.",
    },
    options=(_LANES, _SCALE),
    claims=claims_of("delta-logp"),
)
