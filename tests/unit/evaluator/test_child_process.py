"""A module in a process of its own: what it says comes back, and how it failed."""

import pytest

from evaluator.child_process import ChildError, run_module


def test_what_it_reads_and_prints():
    assert run_module("json.tool", "--compact", given='{"a":  1}') == '{"a":1}\n'


def test_the_last_line_of_a_failure():
    with pytest.raises(ChildError, match=r"^.*Expecting value") as caught:
        run_module("json.tool", given="nonsense")
    assert caught.value.status == 1
    assert "\n" not in str(caught.value)


def test_this_package_can_be_imported_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "Usage" in run_module("evaluator", "--help")
