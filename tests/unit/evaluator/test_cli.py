"""Exit statuses and one-line errors."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import time

import pytest
from tiny_models import write_tiny_llama

from evaluator.results.store import ResultsStore


def flags(baseline, text, out, **more):
    settings = {
        "baseline": baseline,
        "variant": f"m={baseline}",
        "text": text,
        "out": out,
        "device": "cpu",
    } | more
    return ["run", "--no-speed", *(part for name, value in settings.items() for part in (f"--{name}", value))]


def assert_one_line(status, expected, error, *words):
    assert status == expected
    lines = error.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert "Traceback" not in error
    for word in words:
        assert word in lines[-1]


def test_missing_flags_are_named(evaluate):
    status, _, error = evaluate("run", "--baseline", "x.gguf")
    assert_one_line(status, 2, error, "--variant", "--text", "--out")


def test_absent_baseline(evaluate, text_path, tmp_path):
    status, _, error = evaluate(*flags(tmp_path / "no.gguf", text_path, tmp_path / "out"))
    assert_one_line(status, 2, error, "no.gguf", "no such file")
    assert not (tmp_path / "out").exists()


def test_truncated_baseline(evaluate, tiny_path, text_path, tmp_path):
    short = tmp_path / "short.gguf"
    short.write_bytes(tiny_path.read_bytes()[:5000])
    status, _, error = evaluate(*flags(short, text_path, tmp_path / "out"))
    assert_one_line(status, 2, error, "baseline", "short.gguf")


def test_text_shorter_than_a_window(evaluate, tiny_path, text_path, tmp_path):
    status, _, error = evaluate(*flags(tiny_path, text_path, tmp_path / "out", context=4096))
    assert_one_line(status, 2, error, "prose.txt", "one window needs 4096")


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"context": 15}, "even"), ({"variant": "nothing"}, "METHOD=SRC"), ({"device": "tpu"}, "device")],
)
def test_wrong_values(evaluate, tiny_path, text_path, tmp_path, changes, word):
    status, _, error = evaluate(*flags(tiny_path, text_path, tmp_path / "out", **changes))
    assert_one_line(status, 2, error, word)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["run", "--context", "many"], "--context"),
        (["run", "--bogus"], "--bogus"),
        (["bogus"], "bogus"),
        (["inspect"], "source"),
        (["quantize", "--baseline", "b", "--recipe", "main", "--types", ",", "--out", "o"], "names no size"),
        (["inspect", ""], "SRC is empty"),
    ],
)
def test_wrong_flags_are_one_line_too(evaluate, arguments, word):
    status, out, error = evaluate(*arguments)
    assert_one_line(status, 2, error, word)
    assert (out, len(error.strip().splitlines())) == ("", 1)


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("run", ("threads", "chunks", "context")),
        ("demo", ("threads",)),
        ("sample", ("threads", "chunks")),
        ("quantize --baseline b --recipe main --types Q4_0 --out o", ("threads",)),
        ("imatrix --baseline b --text t --out o", ("threads", "chunks", "context")),
    ],
)
def test_numbers_that_count_something_are_positive(evaluate, command, names, value):
    for name in names:
        status, _, error = evaluate(*command.split(), f"--{name}={value}")
        assert_one_line(status, 2, error, f"--{name}")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["run", "--help"]])
def test_help_is_no_error(evaluate, arguments):
    status, out, error = evaluate(*arguments)
    assert (status, error) == (0, "")
    assert "Usage" in out


def test_unreadable_results_folder_is_one_short_line(evaluate, tmp_path):
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    status, _, error = evaluate("inspect", tmp_path)
    assert_one_line(status, 2, error, "manifest.json: cannot be read: model: Field required")
    assert len(error) < 200 + len(str(tmp_path))


@pytest.mark.parametrize(("name", "way_out"), [("variants", "--force"), ("pairs", "delete it")])
def test_damaged_frame_of_a_results_folder_is_one_line(evaluate, three_methods, tmp_path, name, way_out):
    folder = tmp_path / "results"
    shutil.copytree(three_methods, folder)
    (folder / f"{name}.parquet").write_bytes(b"PAR1 and nothing else")
    status, _, error = evaluate("inspect", folder)
    assert_one_line(status, 2, error, f"{name}.parquet: cannot be read: parquet", way_out)


def test_results_of_another_version_are_refused(evaluate, three_methods, tmp_path):
    folder = tmp_path / "results"
    shutil.copytree(three_methods, folder)
    manifest = folder / "manifest.json"
    manifest.write_text(
        json.dumps(json.loads(manifest.read_bytes()) | {"schema_version": 0}), encoding="utf-8"
    )
    status, _, error = evaluate("inspect", folder)
    assert_one_line(status, 2, error, str(folder), "schema version 0", "--force")


def test_damaged_results_are_said_by_a_run_before_it_measures(evaluate, tiny_path, text_path, tmp_path):
    arguments = flags(tiny_path, text_path, tmp_path / "out", context=16, chunks=1)
    assert evaluate(*arguments)[0] == 0
    (tmp_path / "out" / "variants.parquet").write_bytes(b"PAR1")
    status, _, error = evaluate(*arguments)
    assert_one_line(status, 2, error, "variants.parquet: cannot be read: parquet", "--force")
    assert evaluate(*arguments, "--force")[0] == 0


def test_folder_for_results_is_looked_at_before_any_model_is(evaluate, text_path, tmp_path):
    status, _, error = evaluate(*flags(tmp_path / "absent.gguf", text_path, text_path))
    assert_one_line(status, 2, error, "is a file, not a folder")


def test_folder_that_another_run_writes_is_refused_before_any_model_is_looked_for(
    evaluate, text_path, tmp_path
):
    with ResultsStore(tmp_path / "out"):
        status, _, error = evaluate(*flags(tmp_path / "absent.gguf", text_path, tmp_path / "out"))
    assert_one_line(status, 2, error, "another run is writing here (pid")
    status, _, error = evaluate(*flags(tmp_path / "absent.gguf", text_path, tmp_path / "out"))
    assert_one_line(status, 2, error, "absent.gguf")
    assert not (tmp_path / "out").exists()


def test_out_that_holds_something_else(evaluate, tiny_path, text_path, tmp_path):
    status, _, error = evaluate(*flags(tiny_path, text_path, tmp_path, context=16))
    assert_one_line(status, 2, error, "holds no results")


def test_failed_variant_gives_status_one_and_json_on_stdout(
    evaluate, tiny_path, tiny_graph, text_path, tmp_path
):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF")
    arguments = flags(tiny_path, text_path, tmp_path / "out", context=16, chunks=1)
    status, out, _ = evaluate(*arguments, "--variant", f"m={tmp_path / 'bad.gguf'}", "--json")
    summary = json.loads(out)
    assert status == 1
    assert (len(summary["failures"]), len(summary["measured"])) == (1, 2)


def test_inspect_json_is_only_json(evaluate, tiny_path):
    status, out, error = evaluate("inspect", tiny_path, "--json")
    assert (status, error) == (0, "")
    assert json.loads(out)["models"][0]["architecture"] == "llama"


@pytest.mark.parametrize(
    "arguments",
    [["inspect", "{}/none.gguf"], ["run", "{}/none.toml"], ["export", "{}/none.gguf", "--out", "{}/o"]],
)
def test_absent_input_is_status_two(evaluate, tmp_path, arguments):
    status, _, error = evaluate(*(argument.format(tmp_path) for argument in arguments))
    assert_one_line(status, 2, error, "none")


def test_inspect_lists_what_can_be_read_beside_a_damaged_file(evaluate, monkeypatch, tiny_path, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    shutil.copy(tiny_path, tmp_path)
    (tmp_path / "bad.gguf").write_bytes(tiny_path.read_bytes()[:900])
    status, out, _ = evaluate("inspect", tmp_path / "*.gguf")
    assert status == 1
    assert tiny_path.name in out
    assert "skipped" in out
    assert "bad.gguf:" in "".join(out.split())
    status, out, _ = evaluate("inspect", tmp_path / "*.gguf", "--json")
    facts = json.loads(out)
    assert status == 1
    assert [model["path"] for model in facts["models"]] == [str(tmp_path / tiny_path.name)]
    assert [failure["source"] for failure in facts["failures"]] == [str(tmp_path / "bad.gguf")]


def test_inspect_of_a_damaged_file_is_status_two(evaluate, tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF\x03")
    status, _, error = evaluate("inspect", tmp_path / "m.gguf")
    assert_one_line(status, 2, error, "m.gguf", "truncated")


def test_baseline_that_turns_out_unusable_in_the_run_is_a_wrong_request(
    evaluate, tiny_path, text_path, tmp_path
):
    incomplete = write_tiny_llama(tmp_path / "Tiny-F16.gguf", drop=["output_norm.weight"])
    arguments = flags(incomplete, text_path, tmp_path / "out", variant=f"m={tiny_path}", context=16, chunks=1)
    status, _, error = evaluate(*arguments)
    assert_one_line(status, 2, error, "Tiny-F16.gguf", "output_norm.weight is missing")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"untied": True, "head_rows": 200}, ("output.weight has 200 rows for 263 tokens",)),
        ({"noise": float("nan")}, ("none of its 7 tokens has a usable value", "its checksum")),
        (
            {"untied": True, "placed": {"blk.0.ffn_down.weight": (7, 1e38)}},
            ("its logits do not vary: each of 263 tokens", "its checksum"),
        ),
    ],
)
def test_baseline_that_nothing_can_be_compared_to_is_one_line(
    evaluate, tiny_graph, text_path, tmp_path, options, words
):
    bad = write_tiny_llama(tmp_path / "Tiny-F16.gguf", **options)
    status, _, error = evaluate(*flags(bad, text_path, tmp_path / "out", context=16, chunks=1))
    assert_one_line(status, 2, error, "Tiny-F16.gguf", *words)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_is_status_130(evaluate, monkeypatch, tiny_path, text_path, tmp_path, number):
    # What a shell starts in the background ignores Ctrl-C, so tests may, too.
    monkeypatch.setattr("evaluator.support.interrupts._handled_signals", lambda: [number])
    before = signal.getsignal(number)

    def interrupt(*_, **__):
        os.kill(os.getpid(), number)
        time.sleep(10)

    monkeypatch.setattr("evaluator.commands.run.run_comparison", interrupt)
    status, _, error = evaluate(*flags(tiny_path, text_path, tmp_path / "out"))
    assert_one_line(status, 130, error, "interrupted")
    assert signal.getsignal(number) == before


def test_demo_ends_with_a_command_that_a_shell_takes(evaluate, monkeypatch, tmp_path):
    monkeypatch.setattr("evaluator.commands.demo.run_demo", lambda *_, **__: {"failures": []})
    status, told, _ = evaluate("demo", "--out", tmp_path / "my results")
    assert (status, shlex.split(told)[-1]) == (0, str(tmp_path / "my results"))


def test_terminated_export_takes_its_partial_files_with_it(
    evaluate, monkeypatch, tiny_path, tiny_graph, tmp_path
):
    def terminate(*_):
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL  # it would end the tests
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("evaluator.export.exact.artifact.head_weights", terminate)
    status, _, error = evaluate("export", tiny_path, "--out", tmp_path / "onnx")
    assert_one_line(status, 130, error, "interrupted: nothing was exported")
    assert list((tmp_path / "onnx").iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before
