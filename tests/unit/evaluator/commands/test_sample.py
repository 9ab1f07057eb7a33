"""The sample: what it makes, and that it never calibrates on what it evaluates on."""

from __future__ import annotations

import pytest
from rich.console import Console

from evaluator.commands import sample
from evaluator.quantize.recipe import choices
from evaluator.support.errors import RequestError


def test_every_recipe_has_at_least_eight_sizes_that_exist():
    for method, quants in sample.SAMPLE_QUANTS.items():
        assert len(set(quants)) >= 8
        assert set(quants) <= set(choices(method))


def test_a_size_of_each_method_is_attributed():
    assert set(sample.ATTRIBUTED) == set(sample.SAMPLE_QUANTS)
    for method, quants in sample.ATTRIBUTED.items():
        assert quants
        assert set(quants) <= set(sample.SAMPLE_QUANTS[method])


def test_calibrating_on_the_evaluated_text_is_refused(tiny_path, text_path, tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "demo_baseline", lambda _: tiny_path)
    with pytest.raises(
        RequestError, match=r"prose.txt: the calibration text must not be an evaluation text too"
    ):
        sample.run_sample(f"wiki={text_path}", str(text_path), tmp_path / "out", Console(quiet=True))
    assert not (tmp_path / "out").exists()
