"""Choosing a provider."""

from __future__ import annotations

import pytest

from evaluator.runtime import device
from evaluator.runtime.device import choose_device, usable_cores


def test_cpu_is_taken_when_asked_for_even_with_a_gpu(monkeypatch):
    monkeypatch.setattr(device, "_cuda_works", lambda: True)
    chosen = choose_device("cpu", 3)
    assert (chosen.name, chosen.threads, chosen.notice) == ("cpu", 3, None)
    assert chosen.providers == ["CPUExecutionProvider"]


@pytest.mark.parametrize(("choice", "says"), [("cuda", True), ("auto", False)])
def test_without_a_gpu_it_runs_on_the_cpu_and_says_so_when_asked(monkeypatch, choice, says):
    monkeypatch.setattr(device, "_cuda_works", lambda: False)
    chosen = choose_device(choice)
    assert chosen.name == "cpu"
    assert (chosen.notice is not None and "no GPU works" in chosen.notice) == says


@pytest.mark.parametrize("choice", ["cuda", "auto"])
def test_working_gpu_is_used_without_rounding_inputs(monkeypatch, choice):
    monkeypatch.setattr(device, "_cuda_works", lambda: True)
    chosen = choose_device(choice)
    assert chosen.providers == [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]
    assert chosen.notice is None


def test_library_that_only_lists_cuda_does_not_count_as_working(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no device")

    monkeypatch.setattr(device.ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(device.ort, "InferenceSession", refuse)
    assert choose_device("cuda").name == "cpu"


def test_default_threads_are_the_usable_cores(monkeypatch):
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda _: {0, 5, 9}, raising=False)
    assert usable_cores() == choose_device("cpu").threads == 3
