"""Choosing a provider."""

from __future__ import annotations

import pytest

from evaluator.runtime import device
from evaluator.runtime.device import choose_device, choose_devices, usable_cores


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
    options = {"use_tf32": "0", "device_id": "0"}
    assert chosen.providers == [("CUDAExecutionProvider", options), "CPUExecutionProvider"]
    assert (chosen.memory, chosen.notice) == ("cuda", None)


@pytest.mark.parametrize("count", [1, 3])
def test_every_gpu_that_works_is_taken(monkeypatch, count):
    monkeypatch.setattr(device, "_cuda_works", lambda index=0: index < count)
    chosen = choose_devices("auto", 2)
    assert [item.index for item in chosen] == list(range(count))
    assert [item.providers[0][1]["device_id"] for item in chosen] == [str(index) for index in range(count)]
    assert {(item.name, item.threads, item.providers[0][1]["use_tf32"]) for item in chosen} == {
        ("cuda", 2, "0")
    }


@pytest.mark.parametrize(("names", "count"), [(["A", "A"], 2), (["A", "B"], 1), ([], 2)])
def test_gpus_of_one_kind_are_taken_together(monkeypatch, names, count):
    monkeypatch.setattr(device, "_cuda_works", lambda index=0: index < 2)
    assert len(choose_devices("cuda", 1, names)) == count


@pytest.mark.parametrize(("choice", "working"), [("cpu", 2), ("auto", 0), ("cuda", 0)])
def test_there_is_one_cpu(monkeypatch, choice, working):
    monkeypatch.setattr(device, "_cuda_works", lambda index=0: index < working)
    assert choose_devices(choice, 2) == [choose_device(choice, 2)]
    assert choose_device(choice).memory == "cpu"


def test_a_gpu_is_tried_by_its_number(monkeypatch):
    tried = []

    class Session:
        def __init__(self, _model, _options, providers):
            ((self._name, settings),) = providers
            tried.append(settings["device_id"])
            if settings["device_id"] == "2":
                raise RuntimeError("no such device")

        def run(self, *_):
            return []

        def get_providers(self):
            return [self._name]

    monkeypatch.setattr(device.ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(device.ort, "InferenceSession", Session)
    assert [item.index for item in choose_devices("cuda")] == [0, 1]
    assert tried == ["0", "1", "2"]


def test_library_that_only_lists_cuda_does_not_count_as_working(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no device")

    monkeypatch.setattr(device.ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(device.ort, "InferenceSession", refuse)
    assert choose_device("cuda").name == "cpu"


def test_default_threads_are_the_usable_cores(monkeypatch):
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda _: {0, 5, 9}, raising=False)
    assert usable_cores() == choose_device("cpu").threads == 3
