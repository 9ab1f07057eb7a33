"""Groups that fit on the disk."""

from __future__ import annotations

from evaluator.comparison.grouping import groups_within


def test_groups_take_as_many_as_the_disk_holds():
    sizes = {"a": 4, "b": 4, "c": 3, "d": 20, "e": 1}
    assert list(groups_within(list(sizes), sizes.__getitem__, 10)) == [["a", "b"], ["c"], ["d"], ["e"]]
