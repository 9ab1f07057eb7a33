"""Tasks of a node, without Ray: results equal those of this process, and troubles say who is at fault."""

from __future__ import annotations

import os
import pickle
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from polars.testing import assert_frame_equal
from tiny_comparisons import tiny_comparison
from tiny_models import write_tiny_llama

from evaluator.comparison.cluster import worker
from evaluator.comparison.cluster.job import Task, Trouble, job_of, reference_of
from evaluator.comparison.cluster.worker import carry_out, node_folder, remove_abandoned, remove_run
from evaluator.comparison.executor import subject_of
from evaluator.comparison.file_scorer import FileScorer, Subject
from evaluator.comparison.layers.drift import BaselineStream, Sample
from evaluator.comparison.token_frames import token_frame
from evaluator.comparison.variant_stages import VariantStages
from evaluator.planning.plan import make_plan
from evaluator.results.hidden_states import HiddenStates
from evaluator.support.cache import cache_folder

HOUR = 3600


@pytest.fixture
def started(tiny_path, tiny_graph, text_path, tmp_path):
    """The plan of a run with one variant, its stages, and its job as a node receives it."""
    write_tiny_llama(tmp_path / "Tiny-lossy-Q4_0.gguf", noise=0.01)
    plan = make_plan(tiny_comparison(tiny_path, tmp_path / "Tiny-*.gguf", text_path, tmp_path / "out"))
    baseline, work = plan.baseline, tmp_path / "work"
    scorer = FileScorer(baseline.file, tiny_graph, work, half=False, memory=None)
    model = scorer.model(plan.device)
    stream = BaselineStream(work / "residuals.npy", Sample.of(plan.windows, model.n_layers, model.hidden))
    hidden = HiddenStates(work / "hidden.npy")
    scored = scorer.score(
        subject_of(baseline), plan.windows, plan.device, None, observer=stream, stored=hidden
    )
    stream.seal()
    stages = VariantStages(baseline.file, scorer, plan.windows, hidden.values, stream, work)
    tokens = token_frame(plan.windows, scored.scores)
    job = pickle.loads(pickle.dumps(job_of(plan, stages, tiny_graph, tokens, half=False)))
    yield plan, stages, job
    worker._WORKERS.clear()
    remove_run(job.key)


def task_of(item, stage="score"):
    return Task(stage, item.variant_id, reference_of(item))


def test_scores_and_layers_are_those_of_this_process(started):
    plan, stages, job = started
    (item,) = plan.variants
    expected = stages.score(subject_of(item), plan.device)
    answer = carry_out(job, task_of(item), "here")
    frames = [token_frame(plan.windows, each.scored.scores) for each in (answer.result, expected)]
    assert_frame_equal(*frames, check_exact=True)
    assert_frame_equal(answer.result.layers, expected.layers, check_exact=True)
    assert answer.result.scored.provider == "CPUExecutionProvider"
    assert answer.node.cpu


def test_attribution_is_that_of_this_process_and_needs_no_scores(started):
    plan, stages, job = started
    (item,) = plan.variants
    unscored = replace(job, hidden=None, residuals=None)
    answer = carry_out(unscored, task_of(item, "attribute"), "here")
    assert answer.result == stages.attribute(item.file, plan.device)
    said = carry_out(unscored, task_of(item), "here").result
    assert said == Trouble("the baseline was not scored, so variants cannot be compared with it")


def test_variant_with_other_content_is_the_variants_fault(started):
    plan, _, job = started
    (item,) = plan.variants
    task = task_of(item)
    write_tiny_llama(item.file.path, noise=0.02)
    trouble = carry_out(job, task, "here").result
    assert f"{item.file.path}: has other content here" in trouble.reason
    assert not trouble.of_node


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"nll": None}, "it computes other values for the baseline than the machine that started the run"),
        ({"program": {"onnxruntime": "0.1"}}, "and 0.1 where the run was started; install the same version"),
    ],
)
def test_node_that_differs_is_at_fault_itself(started, change, reason):
    plan, _, job = started
    if "nll" in change:
        change = {"nll": job.nll + np.float32(1e-3)}
    trouble = carry_out(replace(job, **change), task_of(plan.variants[0]), "here").result
    assert reason in trouble.reason
    assert trouble.of_node


def test_lost_baseline_is_the_nodes_fault(started):
    plan, _, job = started
    gone = replace(job, baseline=replace(job.baseline, path=job.baseline.path.with_name("gone.gguf")))
    trouble = carry_out(gone, task_of(plan.variants[0]), "here").result
    assert "gone.gguf: does not exist here; put it at the same path on every machine" in trouble.reason
    assert trouble.of_node


def test_baseline_is_checked_once_for_all_processes_of_a_node(started, monkeypatch):
    plan, _, job = started
    for _ in range(2):
        assert not isinstance(carry_out(job, task_of(plan.variants[0]), "here").result, Trouble)
        worker._WORKERS.clear()  # as if the next task had come to another process
        monkeypatch.setattr(worker, "check_values", None)
    trouble = carry_out(job, task_of(plan.variants[0]), "elsewhere").result
    assert "NoneType" in trouble.reason


def test_folder_of_a_run_goes_with_it_and_abandoned_ones_after_a_week(started):
    plan, _, job = started
    old, young = cache_folder() / "cluster" / "old", cache_folder() / "cluster" / "young"
    for folder, days in ((old, 8), (young, 6)):
        folder.mkdir(parents=True)
        os.utime(folder, (then := time.time() - 24 * HOUR * days, then))
    carry_out(job, task_of(plan.variants[0]), "here")
    assert (old.exists(), young.exists()) == (False, True)
    own = node_folder(job.key, "here")
    assert own.is_dir()
    young.rmdir()
    remove_run(job.key)
    assert not own.parent.exists()


def aged(folder, days):
    """Make a run's folder with a file, both of that age."""
    folder.mkdir(parents=True)
    (folder / "values.npy").touch()
    for place in (folder / "values.npy", folder):
        os.utime(place, (then := time.time() - 24 * HOUR * days, then))
    return folder


def test_file_that_vanishes_while_old_folders_are_removed_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path))
    runs = cache_folder() / "cluster"
    old, own = aged(runs / "old", 8), aged(runs / "own", 8)
    listed = Path.rglob

    def losing(folder, pattern):
        for place in listed(folder, pattern):
            place.unlink()
            yield place

    monkeypatch.setattr(Path, "rglob", losing)
    remove_abandoned("own")
    monkeypatch.undo()
    assert (old.exists(), own.exists(), (own / "values.npy").exists()) == (False, True, True)


@pytest.mark.parametrize("where", ["iterdir", "rglob"])
def test_folders_that_cannot_be_listed_stop_nothing(tmp_path, monkeypatch, where):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path))
    old = aged(cache_folder() / "cluster" / "old", 8)

    def fail(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, where, fail)
    remove_abandoned("own")
    assert old.exists()


def test_job_sends_no_weights(started):
    _, _, job = started
    assert set(job.graph) == {"skeleton.onnx", "fused.onnx", "fusion.json", "slots.json"}
    assert sum(map(len, job.graph.values())) < 300_000
    assert job.memory_bytes > 700_000_000


def test_subject_of_a_task_has_the_variants_name(started):
    plan, _, _ = started
    (item,) = plan.variants
    assert subject_of(item) == Subject(item.variant_id, item.file, item.sha256)
