"""A pass over all layers: where its streams are does not matter, and it continues where it was stopped."""

from __future__ import annotations

import resource

import numpy as np
import pytest
from numpy_llama import final_hidden
from tiny_models import write_tiny_llama

from evaluator.models.model_file import ModelFile
from evaluator.models.sources.open_model import open_model
from evaluator.runtime.device import Device, choose_device
from evaluator.runtime.forward_pass import ForwardPass
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.memory_plan import MemoryPlan
from evaluator.runtime.pass_checkpoint import PassCheckpoint
from evaluator.texts.windows import Window

CPU = choose_device("cpu", 2)
IDS = np.random.default_rng(8).integers(0, 256, (5, 24)).astype(np.int32)
WINDOWS = [Window(index, "d", ids, 12) for index, ids in enumerate(IDS)]


class Sampler:
    """Remembers every sample."""

    windows = frozenset({0, 3})
    rows = np.array([0, 5])

    def __init__(self):
        self.seen = {}

    def take(self, point, index, stream):
        self.seen[f"{point} {index}"] = stream.copy()

    def state(self):
        return dict(self.seen)

    def restore(self, state):
        self.seen = dict(state)


@pytest.fixture(scope="module")
def model(tiny_graph):
    return LayeredModel(tiny_graph, CPU)


def states_of(passing):
    return np.stack([states for _, states in sorted(passing.final_hidden(), key=lambda item: item[0])])


@pytest.fixture(scope="module")
def expected(model, tiny):
    observer = Sampler()
    states = states_of(ForwardPass(model, tiny, WINDOWS, MemoryPlan("device", True, 0, 0), observer))
    return states, observer.seen


def test_states_and_samples_are_those_of_numpy(expected, tiny):
    states, seen = expected
    assert sorted(seen) == [f"{point} {index}" for point in range(3) for index in (0, 3)]
    for index, ids in enumerate(IDS):
        layers = []
        final = final_hidden(tiny.dequantize, ids, stream=layers)
        np.testing.assert_allclose(states[index], final[12:23], rtol=1e-3, atol=1e-4)
        for point in range(3):
            if index in Sampler.windows:
                rows = layers[point][12 + Sampler.rows]
                np.testing.assert_allclose(seen[f"{point} {index}"], rows, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("place", ["device", "host", "disk"])
@pytest.mark.parametrize("ahead", [True, False])
def test_place_of_the_streams_changes_nothing(model, tiny, expected, tmp_path, place, ahead):
    observer = Sampler()
    plan = MemoryPlan(place, ahead, 0, 0)
    checkpoint = PassCheckpoint(tmp_path, "p", "same")
    states = states_of(ForwardPass(model, tiny, WINDOWS, plan, observer, checkpoint=checkpoint))
    np.testing.assert_array_equal(states, expected[0])
    for name, sample in observer.seen.items():
        np.testing.assert_array_equal(sample, expected[1][name])
    checkpoint.remove()
    assert not list(tmp_path.iterdir())


def test_a_simulated_gpu_computes_the_same(tiny, tiny_graph, expected):
    gpu = LayeredModel(tiny_graph, Device("cuda", "CPUExecutionProvider", 1))
    states = states_of(ForwardPass(gpu, tiny, WINDOWS, MemoryPlan("host", True, 0, 0)))
    np.testing.assert_allclose(states, expected[0], rtol=1e-3, atol=1e-4)


class StoppedError(Exception):
    """A run that ends in the middle."""


@pytest.mark.parametrize("place", ["device", "disk"])
@pytest.mark.parametrize("after", [2, 5, 11])
def test_a_stopped_pass_continues_after_its_last_finished_piece(
    model, tiny, expected, tmp_path, monkeypatch, place, after
):
    """Four pieces with three groups of windows each: stopped within the first, the second and the last."""
    plan = MemoryPlan(place, True, 0, 0)

    def passing(advance):
        checkpoint = PassCheckpoint(tmp_path, "p", "same", interval=0)
        return ForwardPass(model, tiny, WINDOWS, plan, Sampler(), checkpoint=checkpoint, advance=advance)

    steps = []

    def stop(share, where):
        steps.append(share)
        if len(steps) == after:
            raise StoppedError

    with pytest.raises(StoppedError):
        states_of(passing(stop))
    read, raw = [], ModelFile.row_reader
    monkeypatch.setattr(ModelFile, "row_reader", lambda self, name: read.append(name) or raw(self, name))
    steps = []
    again = passing(lambda share, where: steps.append(share))
    np.testing.assert_array_equal(states_of(again), expected[0])
    done = (after - 1) // 3
    assert len(steps) == 12 - 3 * done
    assert steps[-1] == 1
    assert any(name.startswith("blk.0.attn_q") for name in read) == (done == 0)
    for name, sample in again.observer.seen.items():
        np.testing.assert_array_equal(sample, expected[1][name])
    assert len(again.observer.seen) == 6


def test_a_pass_of_something_else_starts_anew(model, tiny, expected, tmp_path):
    plan = MemoryPlan("device", True, 0, 0)
    first = PassCheckpoint(tmp_path, "p", "one", interval=0)
    states_of(ForwardPass(model, tiny, WINDOWS, plan, checkpoint=first))
    assert first.load() is not None
    assert PassCheckpoint(tmp_path, "p", "another").load() is None


@pytest.mark.parametrize("kept", [0, 20])
@pytest.mark.parametrize("damage", ["record", "streams", "observed"])
def test_a_damaged_checkpoint_is_ignored(model, tiny, expected, tmp_path, damage, kept):
    plan = MemoryPlan("device", True, 0, 0)
    checkpoint = PassCheckpoint(tmp_path, "p", "one", interval=0)
    states_of(ForwardPass(model, tiny, WINDOWS, plan, Sampler(), checkpoint=checkpoint))
    pattern = {"record": "*.json", "streams": "*.streams", "observed": "*.npz"}[damage]
    (path,) = tmp_path.glob(pattern)
    path.write_bytes(path.read_bytes()[:kept])
    again = ForwardPass(model, tiny, WINDOWS, plan, Sampler(), checkpoint=checkpoint)
    np.testing.assert_array_equal(states_of(again), expected[0])


@pytest.fixture
def small_disk():
    """Limit the size of files to less than the streams have."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_stops_only_passes_whose_streams_are_on_it(model, tiny, expected, tmp_path, small_disk):
    def passing(place):
        checkpoint = PassCheckpoint(tmp_path, "p", "same", interval=0)
        return ForwardPass(model, tiny, WINDOWS, MemoryPlan(place, True, 0, 0), checkpoint=checkpoint)

    np.testing.assert_array_equal(states_of(passing("device")), expected[0])
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="File too large"):
        states_of(passing("disk"))


def test_recent_streams_in_memory_are_not_written_again(model, tiny, tmp_path):
    checkpoint = PassCheckpoint(tmp_path, "p", "one", interval=3600)
    states_of(ForwardPass(model, tiny, WINDOWS, MemoryPlan("device", True, 0, 0), checkpoint=checkpoint))
    assert not list(tmp_path.iterdir())


def stopped(passing, after):
    """Run a pass and stop it after some groups of windows."""
    steps = []

    def stop(share, where):
        steps.append(share)
        if len(steps) == after:
            raise StoppedError

    passing.advance = stop
    with pytest.raises(StoppedError):
        states_of(passing)


@pytest.mark.parametrize(("first", "then"), [("device", "disk"), ("disk", "device")])
def test_a_stopped_pass_continues_with_streams_elsewhere(model, tiny, expected, tmp_path, first, then):
    """Less memory may be free when a run continues, or more."""

    def passing(place):
        checkpoint = PassCheckpoint(tmp_path, "p", "same", interval=0)
        return ForwardPass(model, tiny, WINDOWS, MemoryPlan(place, True, 0, 0), checkpoint=checkpoint)

    stopped(passing(first), 5)
    again, steps = passing(then), []
    again.advance = lambda share, where: steps.append(share)
    np.testing.assert_array_equal(states_of(again), expected[0])
    assert len(steps) == 9
    assert len([path for path in tmp_path.iterdir() if "streams" in path.name]) == 1 + (then == "disk")


def test_a_pass_of_something_else_leaves_no_record_of_streams_that_it_replaced(
    model, tiny, expected, tmp_path
):
    other = open_model(write_tiny_llama(tmp_path / "Other-F32.gguf", seed=5))

    def passing(file, identity):
        checkpoint = PassCheckpoint(tmp_path, "p", identity)
        return ForwardPass(model, file, WINDOWS, MemoryPlan("disk", True, 0, 0), checkpoint=checkpoint)

    stopped(passing(tiny, "one"), 7)
    stopped(passing(other, "another"), 1)
    np.testing.assert_array_equal(states_of(passing(tiny, "one")), expected[0])


def test_a_pass_leaves_alone_another_whose_name_begins_with_its_own(model, tiny, tmp_path):
    for name in ("tiny-v1.5", "tiny-v1"):
        checkpoint = PassCheckpoint(tmp_path, name, "same")
        stopped(ForwardPass(model, tiny, WINDOWS, MemoryPlan("disk", True, 0, 0), checkpoint=checkpoint), 7)
    assert PassCheckpoint(tmp_path, "tiny-v1.5", "same").load().done == 3
