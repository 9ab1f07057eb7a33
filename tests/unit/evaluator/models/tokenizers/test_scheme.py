"""Files that do not name their pre-tokenizer: where it is taken from, and what is an error."""

from __future__ import annotations

from io import StringIO

import pytest
from llama_vocabulary import llama_vocabulary
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_models import MERGES, write_tiny_llama

from evaluator.commands.quantize import measure_imatrix
from evaluator.commands.run import inspect_source, run_comparison
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.tokenizers.scheme import scheme_name, with_named_scheme, with_scheme_of
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.planning.config import comparison_from
from evaluator.planning.plan import check_comparable, comparable_traits, make_plan
from evaluator.results.reader import read_manifest
from evaluator.support.errors import RequestError, SourceError

#: A text that these names split differently.
DIGITS = ("1 2", "12 3", "! 1")
SMALL = {"hidden": 32, "layers": 1, "ffn": 32}
TEXT = "!123 it's 12345 the <|endoftext|>"


@pytest.fixture
def unnamed(tmp_path):
    return write_tiny_llama(tmp_path / "Old-F32.gguf", pre=None, merges=(*MERGES, *DIGITS))


@pytest.mark.parametrize("name", ["gpt-2", "smollm", "llama-bpe", "qwen2", "default"])
def test_ids_are_those_of_llama_cpp_for_a_file_with_that_name(tmp_path, name):
    options = SMALL | {"merges": (*MERGES, *DIGITS)}
    unnamed = open_gguf(write_tiny_llama(tmp_path / "old.gguf", pre=None, **options))
    named = write_tiny_llama(tmp_path / "new.gguf", pre=name, **options)
    ids = tokenizer_from_gguf(with_named_scheme(unnamed, name)).encode(TEXT).tolist()
    assert ids == llama_vocabulary(named, [TEXT]).ids[0]


def test_baseline_without_a_name_is_refused_with_the_way_out(unnamed, text_path, tmp_path):
    expected = r"baseline .*Old-F32\.gguf: does not name its pre-tokenizer.*--pre NAME.*'default'.*llama-bpe"
    with pytest.raises(RequestError, match=expected):
        make_plan(tiny_comparison(unnamed, unnamed, text_path, tmp_path / "out"))
    with pytest.raises(RequestError, match=expected):
        measure_imatrix(str(unnamed), [str(text_path)], tmp_path / "i.gguf", Console(file=StringIO()))


@pytest.mark.parametrize(
    ("pre", "name", "message"),
    [
        (None, "smolm", "--pre smolm: no such pre-tokenizer; did you mean smollm"),
        ("gpt-2", "smollm", r"--pre smollm: .*m\.gguf names gpt-2 itself, which splits differently"),
    ],
)
def test_name_that_cannot_be_right_is_refused(tmp_path, pre, name, message):
    file = open_gguf(write_tiny_llama(tmp_path / "m.gguf", **SMALL, pre=pre))
    with pytest.raises(RequestError, match=message):
        with_named_scheme(file, name)


def test_sentencepiece_needs_no_name(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "m.gguf", **SMALL, pre=None))
    file.metadata["tokenizer.ggml.model"] = "llama"
    assert with_named_scheme(file, None) is file
    assert with_scheme_of(file, file) is file
    with pytest.raises(RequestError, match="'llama' tokenizer, which needs no pre-tokenizer"):
        with_named_scheme(file, "gpt-2")


def test_a_name_for_the_same_way_to_split_changes_nothing(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "m.gguf", **SMALL, pre="qwen2"))
    assert with_named_scheme(file, "deepseek-r1-qwen") is file


def test_variant_takes_the_baselines_name_and_that_is_said(tiny_path, text_path, tmp_path):
    old = write_tiny_llama(tmp_path / "Tiny-old-Q8_0.gguf", pre=None)
    plan = make_plan(tiny_comparison(tiny_path, old, text_path, tmp_path / "out"))
    assert (plan.failures, plan.pre_named) == ((), False)
    (notice,) = plan.notices
    assert f"{old}: does not name its pre-tokenizer; assumed to be the baseline's, gpt-2" in notice
    assert scheme_name(plan.variants[0].file) == "gpt-2"


def test_variant_whose_merges_differ_is_refused_with_or_without_a_name(tiny_path, text_path, tmp_path):
    old = write_tiny_llama(tmp_path / "Tiny-old-Q8_0.gguf", pre=None, merges=(*MERGES[:-1], "e s"))
    plan = make_plan(tiny_comparison(tiny_path, old, text_path, tmp_path / "out"))
    assert plan.notices == ()
    assert "vocabulary is not the baseline's" in plan.failures[0].reason


def test_name_that_is_not_known_can_be_replaced(tiny_path, text_path, tmp_path):
    new = write_tiny_llama(tmp_path / "Tiny-new-F32.gguf", pre="martian")
    with pytest.raises(RequestError, match=r"baseline .*'martian' is not known.*--pre NAME"):
        make_plan(tiny_comparison(new, new, text_path, tmp_path / "out"))
    asked = tiny_comparison(new, new, text_path, tmp_path / "out").model_copy(update={"pre": "gpt-2"})
    plan = make_plan(asked)
    assert (scheme_name(plan.baseline.file), plan.pre_named, plan.failures) == ("gpt-2", True, ())
    assert scheme_name(plan.variants[0].file) == "gpt-2"
    plan = make_plan(tiny_comparison(tiny_path, new, text_path, tmp_path / "out"))
    (notice,) = plan.notices
    assert f"{new}: pre-tokenizer 'martian' is not known; assumed to be the baseline's, gpt-2" in notice


def test_two_files_without_a_name_have_the_same_vocabulary(tmp_path):
    first, second = (
        open_gguf(write_tiny_llama(tmp_path / f"{seed}.gguf", **SMALL, pre=None, seed=seed))
        for seed in (1, 2)
    )
    check_comparable(second, comparable_traits(first))
    with pytest.raises(SourceError, match="does not name its pre-tokenizer"):
        tokenizer_from_gguf(first)


def test_comparison_file_may_name_it(unnamed, text_path, tmp_path):
    settings = {
        "baseline": str(unnamed),
        "variants": [f"m={unnamed}"],
        "texts": [str(text_path)],
        "context": 16,
    }
    plan = make_plan(comparison_from(settings | {"out": str(tmp_path / "out"), "pre": "smollm"}))
    assert (scheme_name(plan.baseline.file), plan.pre_named, plan.failures) == ("smollm", True, ())


def test_run_records_the_name_and_another_one_does_not_go_on(tiny_path, tiny_graph, text_path, tmp_path):
    old = write_tiny_llama(tmp_path / "Old-F32.gguf", pre=None)
    asked = tiny_comparison(old, tiny_path, text_path, tmp_path / "out", chunks=2)

    def run(pre: str) -> dict[str, object]:
        return run_comparison(asked.model_copy(update={"pre": pre}), Console(file=StringIO()))

    assert run("gpt-2")["failures"] == []
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.pre, manifest.pre_named) == ("gpt-2", True)
    assert run("gpt-2")["measured"] == []
    with pytest.raises(RequestError, match="another pre-tokenizer"):
        run("smollm")


def test_inspect_shows_the_name_or_that_it_is_missing(tiny_path, unnamed):
    shown = StringIO()
    for path, pre, word in ((tiny_path, "gpt-2", "gpt-2"), (unnamed, None, "missing")):
        facts, table = inspect_source(str(path))
        assert (facts["models"][0]["tokenizer"], facts["models"][0]["pre"]) == ("gpt2", pre)
        Console(file=shown, width=200).print(table)
        assert word in shown.getvalue()
