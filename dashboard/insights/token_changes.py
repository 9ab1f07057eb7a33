"""State what view 7 finds: whose tokens stay closest to the baseline's, how heavy tails are, where the centre is."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights import Insight
from dashboard.insights.matching import place_name
from dashboard.insights.siblings import Siblings
from dashboard.results.rows import Row
from dashboard.results.token_summaries import DeltaSummary
from dashboard.style import formats

Ridge = tuple[Row, DeltaSummary]
#: Bands that statements compare methods in.
_MOST_BANDS = 2


def ridges_of(band: Siblings, ridges: Sequence[Ridge]) -> list[Ridge]:
    """Return the distributions of a band's files."""
    ids = {row["variant_id"] for row in band.rows}
    return [ridge for ridge in ridges if ridge[0]["variant_id"] in ids]


def subjects(bands: Sequence[Siblings], ridges: Sequence[Ridge]) -> list[Ridge]:
    """Return the distributions that the title compares: those of the first band of several methods, else all."""
    several = [band for band in bands if len(band.rows) > 1]
    return ridges_of(several[0], ridges) if several else list(ridges)


def closest(ridges: Sequence[Ridge]) -> Ridge:
    """Return the narrowest of one or more distributions: its ends are in the title."""
    return min(ridges, key=lambda ridge: (ridge[1].width.value, ridge[0]["variant_id"]))


def tied_with_closest(ridges: Sequence[Ridge]) -> list[Row]:
    """Return the narrowest file and those tied with it, the narrowest first."""
    row, summary = closest(ridges)
    tied = [other for other, its in ridges if other is not row and not its.width.minus(summary.width).low > 0]
    return [row, *tied]


def title(bands: Sequence[Siblings], ridges: Sequence[Ridge], *, whole: bool) -> str:
    """Name the narrowest distribution of the title's band; `whole` is whether all files are drawn."""
    told = subjects(bands, ridges)
    text = narrowest(told)
    if len(told) == 1:
        return text
    if len(told) < len(ridges):
        return f"At {place_name([row for row, _ in told])}, {text}"
    return text if whole else f"Of the files drawn, {text}"


def narrowest(ridges: Sequence[Ridge]) -> str:
    """Name the narrowest of one or more distributions and those tied with it."""
    row, summary = closest(ridges)
    every = {(its.width.value, its.iqr.value, its.near_zero.value, its.kurtosis) for _, its in ridges}
    ends = [formats.signed(summary.percentiles[mark].value, 2) for mark in (1.0, 99.0)]
    tied = [other["label"] for other in tied_with_closest(ridges)]
    owner = f" of {row['label']}" if len(tied) > 1 else ""
    middle = f"98 % of tokens{owner} between {ends[0]} and {ends[1]} nats"
    if len(ridges) == 1:
        return f"{row['label']} against the baseline, token by token: {middle}"
    if len(every) == 1:
        names = formats.listing([item["label"] for item, _ in ridges])
        return f"{names} are identical, token by token: {middle}"
    if len(tied) > 1:
        return f"{formats.listing(tied)} are tied for closest to the baseline, token by token: {middle}"
    return f"{row['label']} stays closest to the baseline, token by token: {middle}"


def statements(bands: Sequence[Siblings], ridges: Sequence[Ridge]) -> list[Insight]:
    """Compare widths between methods at one size, the share near zero, tails and centres."""
    several = [ridges_of(band, ridges) for band in bands if len(band.rows) > 1]
    widths = [_widths(together) for together in several[:_MOST_BANDS]]
    alone = Insight("No two methods have a file of one size here: there are no widths to compare.", "unknown")
    return [*(widths or [alone]), _near_zero(ridges), _tails(ridges), _centre(ridges)]


def _widths(ridges: Sequence[Ridge]) -> Insight:
    """Compare the widths of one band."""
    narrow_first = sorted(ridges, key=lambda ridge: ridge[1].width.value)
    ordered, widths = [row for row, _ in narrow_first], [summary.width for _, summary in narrow_first]
    numbers = [
        f"{row['label']} {formats.with_error(width.value, width.half)}"
        for row, width in zip(ordered, widths, strict=True)
    ]
    detail = f"p1 to p99 in nats: {'; '.join(numbers)}"
    tied = [
        row["method"]
        for row, width in zip(ordered[1:], widths[1:], strict=True)
        if not width.minus(widths[0]).low > 0
    ]
    place = place_name(ordered)
    if len({(width.value, width.se) for width in widths}) == 1:
        names = formats.listing([row["method"] for row in ordered])
        return Insight(f"At {place}, {names} are equally wide.", "tie", detail)
    if tied:
        names = formats.listing([ordered[0]["method"], *tied])
        return Insight(f"At {place}, {names} are equally wide within the error.", "tie", detail)
    return Insight(f"At {place}, {ordered[0]['method']} has the narrowest distribution.", "finding", detail)


def _near_zero(ridges: Sequence[Ridge]) -> Insight:
    best = max(ridges, key=lambda ridge: ridge[1].near_zero.value)
    worst = min(ridges, key=lambda ridge: ridge[1].near_zero.value)
    text = f"{best[0]['label']} leaves {formats.percent(best[1].near_zero.value)} of tokens within ±0.05 nats"
    other = f", {worst[0]['label']} {formats.percent(worst[1].near_zero.value)}" if worst is not best else ""
    half = formats.percent(max(best[1].near_zero.half, worst[1].near_zero.half))
    return Insight(f"{text}{other}.", "finding", f"± {half} at most; {formats.count(best[1].n)} tokens")


def _tails(ridges: Sequence[Ridge]) -> Insight:
    """Compare tails by p1–p99 width over interquartile range; 3.45 for a normal distribution."""
    ratios = [
        (row["label"], summary.width.value / summary.iqr.value)
        for row, summary in ridges
        if summary.iqr.value > 0
    ]
    if not ratios:
        return Insight("The quartiles are equal, so tails cannot be compared.", "unknown")
    label, ratio = max(ratios, key=lambda item: item[1])
    times = formats.number(ratio, 2)
    text = f"{label} has the heaviest tails: p1–p99 is {times} × the interquartile range."
    if len(ratios) == 1:
        text = f"Tails: p1–p99 of {label} is {times} × the interquartile range."
    return Insight(
        text,
        "finding",
        "3.45 × for a normal distribution; more means that a few tokens change far more than most",
    )


def _centre(ridges: Sequence[Ridge]) -> Insight:
    row, summary = min(ridges, key=lambda ridge: ridge[1].percentiles[50].value)
    median = summary.percentiles[50]
    value = formats.with_error(median.value, median.half)
    change = "gets less probable" if median.high < -0.01 else "hardly changes"
    text = f"The lowest median is {value} nats ({row['label']}): the typical token {change}."
    if len(ridges) == 1:
        text = f"The median is {value} nats: the typical token {change}."
    return Insight(text, "finding")
