"""What an address asks for in vain is said once, and the rest of the address stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from many_models import make_models

from dashboard.results.library import Library
from dashboard.shell.callbacks import screen


@pytest.fixture(scope="module")
def library(three_methods: Path, one_method: Path) -> Library:
    return Library([three_methods, one_method])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library([make_models(tmp_path_factory.mktemp("models"), ("Beta-7B", "Alpha-1B"))])


@pytest.mark.parametrize(
    ("query", "said", "kept"),
    [
        (
            "method=mian",
            "There is no method “mian” in this folder; did you mean main? All methods are shown.",
            "",
        ),
        (
            "method=nobody&method=main&quant=Q4_0",
            "There is no method “nobody” in this folder. main is kept.",
            "method=main&quant=Q4_0",
        ),
        ("quant=q4_0", "There is no type “q4_0” in this folder; did you mean Q4_0? All types are shown.", ""),
        ("domain=poetry&domain=x", "There is no text “poetry” or “x” in this folder. All texts count.", ""),
        ("bits=few", "There is no range of bits “few”; a range is written as 3-5. All bits are shown.", ""),
        ("bin=9", "There is no bin of confidence “9”; bins are 0 to 4. Tokens of all bins count.", ""),
        (
            "pick=main-q4_O&gb=2",
            "There is no file “main-q4_O” in this folder; did you mean main-q4_0? No file is picked.",
            "gb=2",
        ),
        (
            "engine=tensorrt",
            "There is no engine “tensorrt” in this folder. The engine is packed ONNX (onnxruntime).",
            "",
        ),
        ("x=weight", "The switch “Across” has no choice “weight”. “bits per weight” is shown.", ""),
        (
            "columns=kld_maen",
            "There is no column “kld_maen” in this folder; did you mean kld_mean? The usual columns are shown.",
            "",
        ),
        (
            "columns=foo.ppl.label.kld_mean&gb=2",
            "There is no column “foo” or “label” in this folder. ppl and kld_mean are kept.",
            "columns=ppl.kld_mean&gb=2",
        ),
        ("model=Llama", "There is no model “Llama” in this folder. Synthetic-135M is shown.", ""),
    ],
)
def test_what_was_not_found_what_is_shown_and_what_stays(library, query, said, kept):
    shown = screen(library, "/size", query, {})
    assert shown["unknown"] == said
    assert shown["address"]["query"] == kept
    again = screen(library, "/size", kept, shown["address"])
    assert again["unknown"] == "", "said once"


def test_nothing_is_said_of_values_that_exist_or_are_not_written(library):
    for query in (
        "",
        "bits=5-3",
        "engine=onnxruntime",
        "method=main&method=main&gb=lots&junk=1&x=gb&b=main-q4_0",
        "columns=ppl.kld_mean",
    ):
        assert screen(library, "/size", query, {})["unknown"] == ""


def test_an_unknown_folder_is_named_with_the_one_that_is_shown(library):
    first, second = library.names
    said = screen(library, "/", f"?results={second[:-1]}", {})["unknown"]
    assert said == f"There is no folder “{second[:-1]}” here; did you mean {second}? {first} is shown."


def test_a_model_is_named_where_another_one_has_the_value(models):
    first = models.at("").models[0]
    assert screen(models, "/", "?model=beta-7b", {})["unknown"] == (
        f"There is no model “beta-7b” in this folder; did you mean Beta-7B? {first} is shown."
    )
    said = screen(models, "/", "?model=Alpha-1B&pick=Beta-7B-main-q4_0", {})["unknown"]
    assert said.startswith("There is no file “Beta-7B-main-q4_0” in Alpha-1B")
    assert screen(models, "/", "?model=Alpha-1B&model=Gamma", {})["unknown"] == (
        "There is no model “Gamma” in this folder. Alpha-1B is shown."
    )


def test_a_hostile_value_is_shortened_and_cleaned(library):
    said = screen(library, "/", "?method=" + "%E2%80%AE<b>" + "x" * 150, {})["unknown"]
    assert "\u202e" not in said
    assert len(said) < 150
