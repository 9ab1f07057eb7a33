"""What is refused before Ray is asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from evaluator.comparison.cluster.connection import _check_reachable, _running_cluster, check_installed
from evaluator.support.errors import RequestError


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    """A folder called ray in the working folder, such as Ray's own in /tmp, is not the package."""
    (tmp_path / "ray").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    with pytest.raises(
        RequestError, match=r"--cluster needs Ray: pip install 'quantization-comparison\[cluster\]'"
    ):
        check_installed()


def test_address_without_a_server_is_refused_at_once():
    with pytest.raises(
        RequestError, match=r"--cluster ray://127.0.0.1:1: nothing answers at ray://127.0.0.1:1 \("
    ):
        _check_reachable("ray://127.0.0.1:1")
    _check_reachable("local")


def test_auto_is_the_cluster_that_the_environment_or_rays_note_names(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert _running_cluster() == "head:6379"
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert _running_cluster() is None
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert _running_cluster() is None
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("10.0.0.1:6379", encoding="utf-8")
    assert _running_cluster() == "10.0.0.1:6379"


def test_a_run_without_cluster_imports_no_ray():
    code = "import sys, evaluator.commands.run; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
