"""A module in a child process: its output and its failures are returned."""

import time

import pytest

from evaluator.support.child_process import ChildError, run_module


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


def test_process_that_takes_too_long_is_killed():
    asleep = 3600  # a process that is waited for takes that long, on the busiest machine, too
    begin = time.monotonic()
    with pytest.raises(ChildError, match="stopped after 1 seconds"):
        run_module("timeit", "-n", "1", f"import time; time.sleep({asleep})", seconds=1)
    assert time.monotonic() - begin < asleep / 10
