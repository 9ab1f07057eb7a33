"""Draw speed against closeness to the baseline: every file or, of many, those that a choice is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dashboard.figures import axes, charts, speed_marks
from dashboard.figures.crowd import outstanding
from dashboard.figures.curves import Curves, Spot, Told
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Box, Point, shares
from dashboard.figures.run_hover import hover_of_runs
from dashboard.figures.run_loss import add_other_engine, add_run_loss
from dashboard.figures.scales import LogScale
from dashboard.insights.claim_rules import Spread
from dashboard.insights.comparison import divergence
from dashboard.insights.engine_gap import loss_as_run
from dashboard.insights.speed_order import BY_SPREAD, range_of
from dashboard.insights.speed_titles import Race
from dashboard.insights.speeds import slowness
from dashboard.results.rows import Row, front_of
from dashboard.results.scope import Scope


@dataclass(frozen=True)
class SpeedLoss:
    """Timed files: `rows` in the chosen engine, `more` in others.

    `columns` are those of the lower end, the median and the upper end of the speed; `race` is what the title says.
    """

    scope: Scope
    rows: Sequence[Row]
    more: Sequence[Row]
    columns: Spread
    race: Race | None

    def draw(self) -> Drawing:
        """Draw a line per method with the ranges of speed and loss, 4 to 5 bits shaded, and what the title says.

        Of many files, only the front, picked ones and those in the title have labels and bars.
        """
        scope, rows, more, (_, middle, _) = self.scope, self.rows, self.more, self.columns
        x_range, scale = self._across, self._scale
        curves, hover = charts.series(scope.results, rows), hover_of_runs(scope, rows)
        drawn = Drawing()
        taken = [speed_marks.note_corner(drawn), *self._draw_claim(drawn)]
        speed_marks.shade_four(drawn, rows, middle, scale)
        if self.vivid is not None:
            speed_marks.draw_front(drawn, self._edge, scale)
            speed_marks.draw_reach(drawn, self.beyond, self.columns, scale)
        add_run_loss(drawn, curves, scope.selection, rows, middle, scale, hollow=not more, vivid=self.vivid)
        if more:
            add_other_engine(drawn, scope, rows, more, middle, scale, hover, self.vivid)
        Curves(
            scope,
            rows,
            {row["variant_id"]: self._spot(row) for row in rows},
            x_range,
            scale,
            hover,
            front=self.front,
            told=self._told,
            size=10,
            lines=[shares(line, (x_range, scale.range)) for line in self._lines],
            taken=taken,
            vivid=self.vivid,
            marks=[self._point(row) for row in more],
        ).draw(drawn)
        drawn.update_xaxes(range=x_range)
        drawn.update_yaxes(title_text="mean KLD, nats per token (log scale)", **scale.axis)
        return drawn

    @cached_property
    def front(self) -> frozenset[str]:
        """The ids of the files that no other beats in both speed and loss."""
        slow = [slowness(row, self.columns) for row in self.rows]
        front = front_of(self.rows, slow, [row["kld_mean"] for row in self.rows])
        return frozenset(str(self.rows[index]["variant_id"]) for index in front)

    @cached_property
    def vivid(self) -> frozenset[str] | None:
        """The ids of the files with labels and bars; None for all."""
        return outstanding(self.rows, self.front, self._told.values, self.scope.selection.picked)

    @cached_property
    def beyond(self) -> list[Row]:
        """The files without bars whose median is beyond the range that the title says all files reach."""
        low, middle, _ = self.columns
        found = self.race
        if self.vivid is None or found is None or found.ahead is not None or not found.level:
            return []
        plain = [row for row in self.rows if row["variant_id"] not in self.vivid]
        right = [row for row in plain if row[middle] > found.reach[1] and row[low] is not None]
        return [row | {low: range_of(self.scope.results, row, found.phase)[0]} for row in right]

    @cached_property
    def _across(self) -> list[float]:
        """The horizontal range, with room for the bars that are drawn."""
        low, middle, high = self.columns
        barred = [row for row in self.rows if self.vivid is None or row["variant_id"] in self.vivid]
        ends = [row[end] for row in barred for end in (low, high)]
        ends += [row[middle] for row in (*self.rows, *self.more)] + [row[low] for row in self.beyond]
        return axes.padded([end for end in ends if end is not None], 0.05)

    @cached_property
    def _scale(self) -> LogScale:
        every = (*self.rows, *self.more)
        return LogScale.of(
            [loss for row in every for loss in (row["kld_mean"], loss_as_run(row))], margin=0.1
        )

    def _point(self, row: Row) -> Point:
        return row[self.columns[1]], self._scale.height(row["kld_mean"])

    @property
    def _edge(self) -> list[Point]:
        return sorted(self._point(row) for row in self.rows if row["variant_id"] in self.front)

    @property
    def _lines(self) -> list[list[Point]]:
        """Lines that texts avoid: to the losses as run, to the same files in another engine, and the front's."""
        of = {row["variant_id"]: self._point(row) for row in self.rows}
        known = [row for row in self.rows if self.vivid is None or row["variant_id"] in self.vivid]
        runs = [
            [of[row["variant_id"]], (self._point(row)[0], self._scale.height(loss_as_run(row)))]
            for row in known
        ]
        joined = [[of[row["variant_id"]], self._point(row)] for row in self.more]
        return [*runs, *joined, *([] if self.vivid is None else [self._edge])]

    def _spot(self, row: Row) -> Spot:
        """Return a file's place with the range of its speed across, and the 95 % interval of the mean KLD."""
        low, middle, high = self.columns
        kld = divergence(row)
        half = kld.half if kld.has_error else 0.0
        return Spot(row[middle], kld.value, kld.value - half, kld.value + half, row[low], row[high])

    def _draw_claim(self, drawn: Drawing) -> list[Box]:
        """Shade how much faster the file in the title is, or the range within which it names no faster one."""
        found = self.race
        if found is None:
            return []
        if found.ahead is not None:
            ends = [row[found.columns[1]] for row in (found.own, found.ahead)]
            return [speed_marks.shade(drawn, ends, self._across, f"{found.times} as fast")]
        if not found.level:
            return []
        told = f"level with {found.role}" if found.is_by_rounds else f"{BY_SPREAD} of {found.role}"
        return [speed_marks.shade(drawn, found.reach, self._across, told)]

    @cached_property
    def _told(self) -> Told:
        found = self.race
        if found is None:
            return Told()
        values = {row["variant_id"]: found.rate(row) for row in found.named}
        return Told(str(found.named[0]["variant_id"]), values)
