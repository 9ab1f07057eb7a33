"""Choosing a provider, and finding GPUs without a word on the terminal."""

from __future__ import annotations

import os
import sys
import types

import onnxruntime as ort
import pytest

from evaluator.runtime import device, gpus
from evaluator.runtime.device import choose_device, choose_devices

MISSING = "libcublasLt.so.13: cannot open shared object file: No such file or directory"


def driver(names, *, status=0):
    """The functions of NVIDIA's driver that are called, as its documentation describes them."""

    def count(number):
        number._obj.value = len(names)
        return 0

    def get(handle, ordinal):
        handle._obj.value = ordinal + 40
        return 0

    def name_of(name, size, handle):
        name.value = names[handle.value - 40].encode()[: size - 1]
        return 0

    return types.SimpleNamespace(
        cuInit=lambda flags: status, cuDeviceGetCount=count, cuDeviceGet=get, cuDeviceGetName=name_of
    )


@pytest.fixture
def machine(monkeypatch):
    """A machine with GPUs of these names, of which the first `working` can be used."""

    def build(names, working=None, *, status=0, providers=("CUDAExecutionProvider", "CPUExecutionProvider")):
        usable = len(names) if working is None else working

        def load(library, *_):
            if library != gpus._DRIVER:
                raise OSError(MISSING)
            return driver(names, status=status)

        monkeypatch.setattr(gpus.ctypes, "CDLL", load)
        monkeypatch.setattr(gpus.ort, "get_available_providers", lambda: list(providers))
        monkeypatch.setattr(gpus.ort, "preload_dlls", lambda: sys.stdout.write("Failed to load libcublas"))
        monkeypatch.setattr(gpus, "gpu_works", lambda index: index < usable)
        monkeypatch.setattr(device, "gpu_works", lambda index: index < usable)

    return build


def test_cpu_is_taken_when_asked_for_even_with_a_gpu(machine):
    machine(["A"])
    chosen = choose_device("cpu", 3)
    assert (chosen.name, chosen.threads, chosen.notice, chosen.memory) == ("cpu", 3, None, "cpu")
    assert chosen.providers == ["CPUExecutionProvider"]


@pytest.mark.parametrize("choice", ["cuda", "auto"])
def test_working_gpu_is_used_without_rounding_inputs(machine, choice, capfd):
    machine(["A"])
    chosen = choose_device(choice)
    options = {"use_tf32": "0", "device_id": "0"}
    assert chosen.providers == [("CUDAExecutionProvider", options), "CPUExecutionProvider"]
    assert (chosen.memory, chosen.notice) == ("cuda", None)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("names", "working", "count"),
    [(["A"], 1, 1), (["A"] * 3, 3, 3), (["A"] * 3, 2, 2), (["A", "B"], 2, 1), (["A", "A", "B"], 3, 1)],
)
def test_gpus_of_one_kind_that_work_are_taken_together(machine, names, working, count):
    machine(names, working)
    chosen = choose_devices("auto", 2)
    assert [item.index for item in chosen] == list(range(count))
    assert [item.providers[0][1]["device_id"] for item in chosen] == [str(index) for index in range(count)]
    assert {(item.name, item.threads, item.providers[0][1]["use_tf32"]) for item in chosen} == {
        ("cuda", 2, "0")
    }


@pytest.mark.parametrize(
    ("names", "options", "reason"),
    [
        ((), {}, "the NVIDIA driver shows none"),
        (["A"], {"status": 100}, "the NVIDIA driver shows none"),
        (["A"], {"providers": ["CPUExecutionProvider"]}, "install onnxruntime-gpu"),
        (["A"], {"working": 0}, "libcublasLt.so.13 is missing"),
    ],
)
def test_without_a_usable_gpu_it_runs_on_the_cpu_and_says_why_when_asked(
    machine, names, options, reason, capfd
):
    machine(names, **options)
    chosen = choose_devices("cuda", 2)
    assert [(item.name, item.threads) for item in chosen] == [("cpu", 2)]
    assert "no GPU works here" in chosen[0].notice
    assert reason in chosen[0].notice
    assert capfd.readouterr() == ("", "")


def test_auto_says_that_a_gpu_is_left_unused_and_nothing_where_there_is_none(machine):
    machine(["Model X"], 0)
    assert choose_device("auto").notice == (
        "Model X was found, but cannot be used (libcublasLt.so.13 is missing; install the CUDA "
        "libraries, for example with PyTorch for CUDA): running on the CPU"
    )
    machine([])
    assert choose_device("auto").notice is None


def test_names_come_from_the_driver(machine):
    machine(["Model X", "Model Y"])
    assert gpus.visible_gpus() == ["Model X", "Model Y"]


def test_a_library_that_is_there_is_not_called_missing(monkeypatch):
    monkeypatch.setattr(gpus.ctypes, "CDLL", lambda _: types.SimpleNamespace())
    assert gpus._missing_library() is None

    def refuse(_):
        raise OSError("undefined symbol: Provider_GetHost")

    monkeypatch.setattr(gpus.ctypes, "CDLL", refuse)
    assert gpus._missing_library() is None


@pytest.mark.skipif(
    "CUDAExecutionProvider" not in ort.get_available_providers(), reason="this onnxruntime lists no CUDA"
)
def test_trying_a_gpu_that_is_not_there_prints_nothing(capfd):
    """The provider is real: its library is loaded, or fails to load, in native code that prints by itself."""
    beyond = len(gpus.visible_gpus())
    assert not gpus.gpu_works(beyond)
    assert capfd.readouterr() == ("", "")


def test_a_session_that_fails_does_not_fall_back_to_the_cpu(monkeypatch):
    asked = []

    def refuse(_model, _options, **settings):
        asked.append(settings)
        raise RuntimeError("no device")

    monkeypatch.setattr(gpus.ort, "InferenceSession", refuse)
    assert not gpus.gpu_works(2)
    assert [(item["providers"][0][1]["device_id"], item["enable_fallback"]) for item in asked] == [("2", 0)]


def test_default_threads_are_the_usable_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 9}, raising=False)
    assert choose_device("cpu").threads == 3
