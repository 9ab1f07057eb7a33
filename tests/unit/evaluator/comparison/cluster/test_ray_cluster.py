"""A comparison on a Ray cluster of two nodes gives the frames of one process, even if a worker is killed."""

from __future__ import annotations

import contextlib
import io
import json
import platform
import subprocess
import sys
import threading
import time

import polars as pl
import psutil
import pytest
from polars.testing import assert_frame_equal
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_models import write_tiny_llama

from evaluator.comparison.cluster import ray_cluster
from evaluator.comparison.run import ComparisonRun
from evaluator.planning.plan import make_plan
from evaluator.results.reader import read_manifest
from evaluator.results.store import ResultsStore
from evaluator.support.cache import cache_folder
from evaluator.support.errors import EvaluatorError, RequestError
from evaluator.support.progress import RunProgress

cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")

QUANTS = ("Q6_K", "Q5_0", "Q4_0")


@pytest.fixture(scope="module")
def two_nodes():
    """A cluster of two nodes with a CPU each, found by `auto`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = cluster_utils.Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        cluster.add_node(num_cpus=1)
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        cluster.shutdown()


@pytest.fixture
def comparison(tiny_path, tiny_graph, text_path, tmp_path):
    for number, quant in enumerate(QUANTS, 1):
        write_tiny_llama(tmp_path / f"Tiny-lossy-{quant}.gguf", noise=0.005 * number)
    plain = tiny_comparison(tiny_path, tmp_path / "Tiny-*.gguf", text_path, tmp_path / "plain")
    return plain.model_copy(update={"attribution": True})


def run(comparison, meanwhile=lambda: None):
    """Carry out a comparison; `meanwhile` is called when everything is planned."""
    said = io.StringIO()
    plan = make_plan(comparison)
    meanwhile()
    with ResultsStore(comparison.out) as store, RunProgress(Console(file=said, width=200)) as progress:
        outcome = ComparisonRun(plan, comparison, store, progress).run()
    frames = {
        str(path.relative_to(comparison.out)): pl.read_parquet(path)
        for path in comparison.out.rglob("*.parquet")
    }
    return outcome, frames, said.getvalue()


@contextlib.contextmanager
def when_a_task_runs(act):
    """Call `act` with the first process below this one that works on a task."""
    ended = threading.Event()

    def watch():
        while not ended.is_set():
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if process.cmdline()[:1] == ["ray::run_task"]:
                        act(process)
                        return
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield
    ended.set()
    watcher.join()


def test_cluster_that_loses_a_worker_gives_the_frames_of_one_process(comparison, two_nodes, tmp_path):
    """A fourth file changes after it was planned: it fails, and stops no other."""
    _, expected, _ = run(comparison)
    changed = write_tiny_llama(tmp_path / "Tiny-changed-Q8_0.gguf", noise=0.03)
    shared = comparison.model_copy(update={"out": tmp_path / "shared", "cluster": "auto"})
    killed = []

    def kill(process):
        process.kill()
        killed.append(process.pid)

    with when_a_task_runs(kill):
        outcome, frames, said = run(shared, lambda: write_tiny_llama(changed, noise=0.04))
    assert len(killed) == 1
    assert frames.keys() == expected.keys()
    for name, frame in expected.items():
        assert_frame_equal(frames[name], frame, check_row_order=name.startswith("tokens"), check_exact=True)
    assert frames["layers.parquet"]["attribution_kld"].drop_nulls().len() == 3 * 15
    (failure,) = outcome.failures
    assert failure.source == str(changed)
    assert failure.reason.startswith(f"node {platform.node()}: {changed}: has other content here (SHA-256 ")
    manifest = read_manifest(shared.out)
    assert {node.name for node in manifest.nodes.values()} == {platform.node()}
    assert set(manifest.nodes) == set(outcome.measured) - {manifest.baseline_id}
    assert set(manifest.stage_seconds) == set(outcome.measured)
    assert "cluster: 2 nodes with 2 CPUs" in said
    assert not list((cache_folder() / "cluster").iterdir())


def test_task_that_fits_on_no_node_is_refused(comparison, two_nodes):
    too_wide = comparison.model_copy(update={"cluster": "auto", "threads": 2, "attribution": False})
    with pytest.raises(
        RequestError, match=r"no node of the cluster has 2 CPUs and 0\.\d GB of memory, which"
    ):
        run(too_wide)


def test_run_ends_when_the_only_node_that_fits_is_lost(comparison, two_nodes, monkeypatch):
    large = two_nodes.add_node(num_cpus=3)
    monkeypatch.setattr(ray_cluster, "_LOOK", 0.2)
    monkeypatch.setattr(ray_cluster, "_PATIENCE", 1.0)
    wide = comparison.model_copy(update={"cluster": "auto", "threads": 3, "attribution": False})
    with (
        pytest.raises(
            EvaluatorError, match=r"no node of the cluster is left with 3 CPUs and .*; what was finished"
        ),
        when_a_task_runs(lambda _: two_nodes.remove_node(large, allow_graceful=False)),
    ):
        run(wide)
    assert read_manifest(comparison.out).ended is None


@pytest.mark.parametrize("address", ["auto", "ray://127.0.0.1:1"])
def test_cluster_that_is_not_there_is_refused_before_anything_is_scored(comparison, monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    nowhere = comparison.model_copy(update={"cluster": address})
    with pytest.raises(RequestError, match=f"--cluster {address}: nothing answers at .*127.0.0.1:1"):
        run(nowhere)
    assert not (comparison.out / "variants.parquet").exists()


#: Runs the command line, and notes on stderr where the local Ray listens.
COMMAND = """
import sys
from evaluator import cli
from evaluator.comparison.cluster import connection, ray_cluster

def connected(*arguments):
    ray = connection.connected(*arguments)
    print([node["NodeManagerAddress"] for node in ray.nodes()], file=sys.stderr)
    return ray

ray_cluster.connected = connected
cli.main()
"""


def test_local_cluster_listens_to_this_machine_only_and_keeps_stdout_for_results(comparison, tmp_path):
    flags = [
        *(
            "--baseline",
            comparison.baseline,
            "--variant",
            f"m={tmp_path}/Tiny-*.gguf",
            "--text",
            comparison.texts[0],
        ),
        *("--out", comparison.out, "--context", 16, "--device", "cpu", "--threads", 1, "--no-speed"),
        *("--cluster", "local", "--json"),
    ]
    command = [sys.executable, "-c", COMMAND, "run", *map(str, flags)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "['127.0.0.1']" in ran.stderr
    assert len(json.loads(ran.stdout)["measured"]) == 4
    assert len(read_manifest(comparison.out).nodes) == 3
