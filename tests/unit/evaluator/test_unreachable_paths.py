"""Paths that the system refuses to look at are wrong requests, as paths of nothing are."""

from __future__ import annotations

import errno
import io
import os
import shlex
import shutil

import pytest

#: Longer than a file's name may be.
LONG = "prose " * 70


@pytest.fixture
def secret(tmp_path, monkeypatch):
    """A folder whose files may not be looked at; tests may run as root, to whom the system refuses nothing."""
    folder = tmp_path / "secret"
    folder.mkdir()

    def guarded(call):
        def guard(path, *arguments, **options):
            if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(f"{folder}{os.sep}"):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return call(path, *arguments, **options)

        return guard

    for module, name in ((os, "stat"), (os, "lstat"), (os, "mkdir"), (io, "open")):
        monkeypatch.setattr(module, name, guarded(getattr(module, name)))
    return folder


@pytest.mark.parametrize("refused", ["secret", "long"])
@pytest.mark.parametrize(
    "line",
    [
        "run --baseline {}.gguf --variant m={tiny} --text {text} --out {out} --context 16",
        "run --baseline {tiny} --variant m={}.gguf --text {text} --out {out} --context 16",
        "run --baseline {tiny} --variant m={tiny} --text {} --out {out} --context 16",
        "run --baseline {tiny} --variant m={tiny} --text a={} --out {out} --context 16",
        "run --baseline {tiny} --variant m={tiny} --text chat:{} --out {out} --context 16",
        "run --baseline {tiny} --variant m={tiny} --text {text} --out {} --context 16",
        "run {}",
        "run {}.toml",
        "inspect {}.gguf",
        "inspect {tiny} {}",
        "inspect {tiny} --tensor-types {}",
        "export {}.gguf --out {out}",
        "export {tiny} --out {}",
        "quantize --baseline {tiny} --recipe {} --types Q4_0 --out {out}",
        "quantize --baseline {tiny} --recipe like:{} --out {out}",
        "quantize --baseline {tiny} --recipe main --types Q4_0 --out {}",
        "quantize --baseline {tiny} --recipe main --types Q4_0 --out {out} --imatrix {}",
        "imatrix --baseline {tiny} --text {} --out {out}.gguf",
        "imatrix --baseline {tiny} --text {text} --out {}",
        "sample --model {}",
    ],
)
def test_it_is_one_line_and_nothing_was_written(
    evaluate, secret, tiny_path, text_path, tmp_path, line, refused
):
    path, reason = {
        "secret": (str(secret / "x"), "Permission denied"),
        "long": (LONG.strip(), "File name too long"),
    }[refused]
    out = tmp_path / "out"
    places = {"tiny": tiny_path, "text": text_path, "out": out}
    status, _, error = evaluate(*(word.format(path, **places) for word in shlex.split(line)))
    (said,) = error.strip().splitlines()
    assert status == 2
    assert path in said
    assert reason in said
    assert "resume" not in said
    assert not out.exists()


def test_results_are_not_written_where_no_name_is_text(evaluate, tiny_path, text_path, tmp_path):
    out = tmp_path / os.fsdecode(b"r\xe9")
    line = f"run --baseline {tiny_path} --variant m={tiny_path} --text {text_path} --out"
    status, _, error = evaluate(*line.split(), out)
    assert (status, out.exists()) == (2, False)
    assert "is not UTF-8; choose another --out" in error


@pytest.mark.parametrize("of", ["baseline", "variant"])
def test_a_model_whose_name_is_not_text_is_a_wrong_request(evaluate, tiny_path, text_path, tmp_path, of):
    named = tmp_path / os.fsdecode(b"b\xe9")
    try:
        named.mkdir()
    except OSError:
        pytest.skip("this disk takes no such name")
    shutil.copy(tiny_path, named)
    for source in (named / tiny_path.name, tmp_path / "b*" / tiny_path.name):
        sources = {"baseline": tiny_path, "variant": tiny_path} | {of: source}
        line = "run --baseline {baseline} --variant m={variant} --text {text} --out {out}"
        words = (word.format(**sources, text=text_path, out=tmp_path / "out") for word in line.split())
        status, _, error = evaluate(*words)
        (said,) = error.strip().splitlines()
        assert status == 2
        assert "is not UTF-8" in said
