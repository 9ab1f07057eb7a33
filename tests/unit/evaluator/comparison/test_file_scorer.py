"""Files are scored: an unfinished pass is continued only if it gathered the same."""

from __future__ import annotations

import shutil
from functools import partial

import numpy as np
import pytest

from evaluator.comparison import file_scorer
from evaluator.comparison.file_scorer import FileScorer, Subject
from evaluator.comparison.layers.drift import BaselineStream, Sample
from evaluator.runtime.device import choose_device
from evaluator.runtime.pass_checkpoint import PassCheckpoint
from evaluator.support.errors import RequestError
from evaluator.texts.windows import Window

CPU = choose_device("cpu", 1)
WINDOWS = [
    Window(index, "d", ids, 12)
    for index, ids in enumerate(np.random.default_rng(2).integers(0, 256, (3, 24)).astype(np.int32))
]
STOP_AT = 6


class StoppedError(Exception):
    """A run that ends in the middle."""


@pytest.fixture
def score(tiny, tiny_graph, tmp_path, monkeypatch):
    """Score the windows; stop at a step if one is given, and return the number of steps."""
    monkeypatch.setattr(file_scorer, "PassCheckpoint", partial(PassCheckpoint, interval=0))
    scorer = FileScorer(tiny, tiny_graph, tmp_path, half=False, memory=None)

    def run(observer, stop_at=None):
        steps = []

        def advance(share, where):
            steps.append(share)
            if len(steps) == stop_at:
                raise StoppedError

        scorer.score(Subject("tiny", tiny, "0"), WINDOWS, CPU, None, observer=observer, advance=advance)
        return len(steps)

    return run


def test_what_a_stopped_run_left_on_the_disk_is_not_asked_for_again(tiny, tiny_graph, tmp_path, monkeypatch):
    scorer = FileScorer(tiny, tiny_graph, tmp_path / "work", half=False, memory=None)
    states, reserve = 4 * 3 * 11 * 256, 10**9
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=reserve))
    with pytest.raises(RequestError, match="hidden states"):
        scorer.check_memory(WINDOWS, CPU)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "tiny.hidden.npy").write_bytes(bytes(states))
    assert scorer.check_memory(WINDOWS, CPU).streams == "device"


def stream(folder, name, n_layers=2):
    return BaselineStream(folder / name, Sample.of(WINDOWS, n_layers, 256))


def test_a_pass_without_samples_is_not_continued_with_them(score, tmp_path):
    all_steps = score(expected := stream(tmp_path, "expected.npy"))
    expected.seal()
    with pytest.raises(StoppedError):
        score(None, STOP_AT)
    found = stream(tmp_path, "found.npy")
    assert score(found) == all_steps
    found.seal()
    np.testing.assert_array_equal(found.values(), expected.values())


def test_a_pass_with_the_same_samples_is_continued(score, tmp_path):
    all_steps = score(expected := stream(tmp_path, "expected.npy"))
    expected.seal()
    with pytest.raises(StoppedError):
        score(stream(tmp_path, "found.npy"), STOP_AT)
    found = stream(tmp_path, "found.npy")
    assert score(found) < all_steps
    found.seal()
    np.testing.assert_array_equal(found.values(), expected.values())
