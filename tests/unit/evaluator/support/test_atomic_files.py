"""Files that several processes write at the same time, without a lock."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import gguf
import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.export.fusion import stored
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.gguf.writer import write_gguf
from evaluator.quantize.imatrix import read_imatrix, write_imatrix
from evaluator.support.atomic_files import scratch_beside, whole_file


def write_model(folder):
    source = open_gguf(folder / "s.gguf")
    types = dict.fromkeys(source.tensors, gguf.GGMLQuantizationType.F32)
    kind = gguf.LlamaFileType.ALL_F32
    write_gguf(source, folder / "m.gguf", kind, types, lambda name: source.dequantize(name).view(np.uint8))


def write_importances(folder):
    write_imatrix(folder / "i.gguf", {"blk.0.attn_q.weight": np.arange(1.0, 65.0)}, 64, 64, ["text"])


def in_another_process(work, folder):
    process = multiprocessing.get_context("spawn").Process(target=work, args=(folder,))
    process.start()
    process.join(120)
    assert process.exitcode == 0


@pytest.fixture
def overtaken(monkeypatch, tmp_path):
    """Write the same file completely in another process while this one is writing it."""
    write_tiny_llama(tmp_path / "s.gguf", layers=1, hidden=32, ffn=32)
    write_the_rest = gguf.GGUFWriter.write_kv_data_to_file

    def arrange(work):
        def wait(writer):
            if not others:
                others.append(work)
                in_another_process(work, tmp_path)
            write_the_rest(writer)

        others = []
        monkeypatch.setattr(gguf.GGUFWriter, "write_kv_data_to_file", wait)
        work(tmp_path)
        assert others

    return arrange


def test_model_that_two_processes_write_at_once_is_whole(overtaken, tmp_path):
    overtaken(write_model)
    source, made = (open_gguf(tmp_path / name) for name in ("s.gguf", "m.gguf"))
    for name in source.tensors:
        np.testing.assert_array_equal(made.dequantize(name), source.dequantize(name))
    assert {path.name for path in tmp_path.iterdir()} == {"s.gguf", "m.gguf"}


def test_importance_matrix_that_two_processes_write_at_once_is_whole(overtaken, tmp_path):
    overtaken(write_importances)
    found = read_imatrix(tmp_path / "i.gguf").means["blk.0.attn_q.weight"]
    np.testing.assert_allclose(found, [np.arange(1.0, 65.0) / 64])


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("m.gguf", write_model),
        ("i.gguf", write_importances),
        ("fusion.json", lambda folder: stored._replace(folder / "fusion.json", b"{}")),
    ],
)
def test_bytes_are_on_the_disk_before_the_name_is(monkeypatch, tmp_path, name, write):
    """Without it, a power failure could leave a file of the right size that is full of zeros."""
    write_tiny_llama(tmp_path / "s.gguf", layers=1, hidden=32, ffn=32)
    fsync, synced = os.fsync, []

    def watched(descriptor):
        fsync(descriptor)
        synced.append((os.fstat(descriptor).st_ino, (tmp_path / name).exists()))

    monkeypatch.setattr(os, "fsync", watched)
    write(tmp_path)
    assert synced == [((tmp_path / name).stat().st_ino, False)]


@pytest.mark.parametrize("around", [whole_file, scratch_beside])
def test_an_error_of_the_disk_names_the_file_that_is_written(tmp_path, around):
    target = tmp_path / "m.gguf"
    for named in (False, True):
        with pytest.raises(OSError, match="No space") as caught, around(target) as partial:
            raise OSError(28, "No space left on device", *([str(partial)] if named else []))
        assert (caught.value.errno, caught.value.filename) == (28, str(target))
    with pytest.raises(FileNotFoundError) as absent, around(target):
        (tmp_path / "other").open()
    assert absent.value.filename == str(tmp_path / "other")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_an_error_that_names_the_file(tmp_path):
    target = tmp_path / "absent" / "m.gguf"
    with pytest.raises(FileNotFoundError) as caught, whole_file(target):
        pass
    assert caught.value.filename == str(target)


def test_what_a_killed_writer_left_of_a_file_is_removed_by_the_next(tmp_path):
    target = tmp_path / "a[1].gguf"
    killed = """
import contextlib, os, sys, pathlib
from evaluator.support.atomic_files import whole_file
stack = contextlib.ExitStack()
for name in sys.argv[1:]:
    stack.enter_context(whole_file(pathlib.Path(name))).write_bytes(b"gigabytes")
os._exit(9)
"""
    command = [sys.executable, "-c", killed, str(target), str(tmp_path / "b.gguf")]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
    left = sorted(path.name for path in tmp_path.rglob("*.gguf"))
    with whole_file(target) as partial, scratch_beside(target) as other:
        partial.write_bytes(b"whole")
        assert other.is_dir()
        assert partial.is_file(), "of a living writer"
    assert target.read_bytes() == b"whole"
    assert left == sorted(path.name for path in tmp_path.rglob("*.gguf")) == ["a[1].gguf", "b.gguf"]
    assert [path.name.split(".")[1] for path in tmp_path.glob("*.partial")] == ["b"]
