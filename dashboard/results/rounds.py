"""Compare speeds by the rounds in which files were timed in turn: what slows the machine for minutes slows all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from dashboard.results.memo import Memo
from dashboard.results.statistics import Estimate
from dashboard.results.timings import after_prompt, prompts

#: Fewer rounds than this have no error.
FEWEST = 2


@dataclass(frozen=True)
class Rounds:
    """A phase in an engine: `logs[variant_id][round]` is the ln of a file's median seconds per token in a round.

    What differs from round to round for all files alike is left out: the ln of a time is taken as a file's value plus
    a round's value plus noise, and the noise as that of all files timed in the same rounds (two-way layout without
    interaction; Scheffé 1959, The Analysis of Variance, 4.2).
    """

    logs: Mapping[str, Mapping[int, float]]
    _noises: Memo[Estimate] = field(default_factory=Memo, repr=False, compare=False)

    @classmethod
    def of(cls, speed: pl.DataFrame | None, phase: str) -> Rounds:
        """Read the rounds of a phase (decode, prefill) from one engine's rows of the speed frame.

        Rows without a number of the round, which earlier versions wrote, are left out.
        """
        if speed is None:
            return cls({})
        rows = (after_prompt if phase == "decode" else prompts)(speed).drop_nulls("round")
        per_token = (pl.col("seconds") / pl.col("tokens")).median().log().alias("ln")
        usable = rows.filter(pl.col("tokens") > 0, pl.col("seconds") > 0)
        logs: dict[str, dict[int, float]] = {}
        for name, number, ln in usable.group_by("variant_id", "round").agg(per_token).iter_rows():
            logs.setdefault(name, {})[number] = ln
        return cls(logs)

    def own(self, variant_id: str) -> Estimate | None:
        """Return the ln of a file's seconds per token, over its rounds; None without rounds that have an error."""
        rounds = frozenset(self.logs.get(variant_id, ()))
        if len(rounds) < FEWEST:
            return None
        return self._mean(variant_id, rounds)

    def shared(self, one: str, other: str, theirs: Rounds) -> frozenset[int]:
        """Return the rounds that timed both files; `theirs` are the other's."""
        return frozenset(self.logs.get(one, {}).keys() & theirs.logs.get(other, {}).keys())

    def slower(self, one: str, other: str, theirs: Rounds | None = None) -> Estimate | None:
        """Return the ln of how many times as long `one` takes as `other`; None unless they share two rounds.

        `theirs` are the other's rounds if it ran in another engine.
        """
        theirs = self if theirs is None else theirs
        rounds = self.shared(one, other, theirs)
        if len(rounds) < FEWEST:
            return None
        mine, against = self._mean(one, rounds), theirs._mean(other, rounds)
        if theirs is not self:
            return mine.minus(against)
        # The noise is that of both, estimated once.
        return Estimate(mine.value - against.value, math.sqrt(2) * mine.se, mine.freedom)

    def _mean(self, variant_id: str, rounds: frozenset[int]) -> Estimate:
        mean = float(np.mean([self.logs[variant_id][number] for number in rounds]))
        noise = self._noises.get(rounds, lambda: self._noise(rounds))
        return Estimate(mean, noise.se / math.sqrt(len(rounds)), noise.freedom)

    def _noise(self, rounds: frozenset[int]) -> Estimate:
        """Return zero with the standard deviation of the noise, from all files that were timed in these rounds."""
        table = np.array(
            [[of[n] for n in sorted(rounds)] for of in self.logs.values() if rounds <= of.keys()]
        )
        files, n_rounds = table.shape
        left = table - table.mean(axis=1, keepdims=True)
        if files > 1:
            left = left - left.mean(axis=0)
        freedom = max(files - 1, 1) * (n_rounds - 1)
        return Estimate(0.0, math.sqrt(float((left**2).sum()) / freedom), freedom)
