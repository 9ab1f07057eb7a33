"""What is told of llama.cpp's build, and of its decisions."""

from __future__ import annotations

import ctypes
import sys

import pytest
from tiny_models import write_tiny_llama

from evaluator.engines.llama_cpp.build import describe
from evaluator.engines.llama_cpp.library import model_params
from evaluator.engines.llama_cpp.settings import Settings


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(write_tiny_llama(tmp_path_factory.mktemp("build") / "Tiny-F32.gguf"))


def test_flash_attention_is_what_the_log_says(path):
    assert describe(path, Settings(1))["flash_attention_used"] == "on"
    # If it is not left to llama.cpp, its log says nothing.
    assert "flash_attention_used" not in describe(path, Settings(1, flash_attention="off"))


def test_the_library_is_described_without_a_file():
    found = describe(None, Settings(1))
    assert found["gpu_backend"] == 0
    assert found["features"].startswith("CPU : ")
    assert " = " not in found["features"]
    assert "unknown" not in found.values()


def test_without_layers_on_a_gpu_the_list_of_devices_is_empty_and_not_the_default():
    none, everything = (bytes(model_params(n_gpu_layers=name).content) for name in ("none", "all"))
    numbers = [int.from_bytes(content[16:20], sys.byteorder, signed=True) for content in (none, everything)]
    assert numbers == [0, -1]
    assert everything[:8] == bytes(8)
    first = ctypes.c_void_p.from_address(int.from_bytes(none[:8], sys.byteorder))
    assert first.value is None
    assert none[20:78] == everything[20:78]
