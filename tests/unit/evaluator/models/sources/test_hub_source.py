"""What a source on the hub names: its form, and the files that it chooses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluator.models.sources.hub_source import HubSource, chosen_files
from evaluator.support.errors import RequestError


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("hf:a/b", HubSource("a/b", "main", None)),
        ("hf:a/b@v1.0", HubSource("a/b", "v1.0", None)),
        ("hf:a/b/*Q4*.gguf", HubSource("a/b", "main", "*Q4*.gguf")),
        ("hf:a-1/b.c_d@x/sub/*.gguf", HubSource("a-1/b.c_d", "x", "sub/*.gguf")),
        ("hf:a/b@refs/pr/12", HubSource("a/b", "refs/pr/12", None)),
        ("hf:a/b@refs/pr/1/x.gguf", HubSource("a/b", "refs/pr/1", "x.gguf")),
        ("hf:a/b@refs/convert/parquet/sub/*", HubSource("a/b", "refs/convert/parquet", "sub/*")),
        ("hf:a/b@try%2Fthis/x.gguf", HubSource("a/b", "try/this", "x.gguf")),
    ],
)
def test_source_is_parsed_and_written_as_it_was(text, parsed):
    assert HubSource.parse(text) == parsed
    assert f"{parsed}{f'/{parsed.pattern}' if parsed.pattern else ''}" == text


@pytest.mark.parametrize("text", ["hf:", "hf:a", "hf:a/", "hf:a b/c", "hf:a/b@"])
def test_other_forms_are_refused(text):
    with pytest.raises(RequestError, match=r"expected hf:owner/repo"):
        HubSource.parse(text)


def test_companions_are_fetched_only_by_their_own_name():
    names = ["mmproj-F16.gguf", "m-F16.gguf", "imatrix_unsloth.gguf"]
    source = HubSource("a/b", "main", None)
    assert chosen_files(source, names) == ["m-F16.gguf"]
    assert chosen_files(replace(source, pattern="*.gguf"), names) == ["m-F16.gguf"]
    assert chosen_files(replace(source, pattern="mmproj-F16.gguf"), names) == ["mmproj-F16.gguf"]


def test_name_that_reads_as_a_glob_is_taken_as_it_is():
    names = ["m-Q8_0[x].gguf", "m-Q8_0x.gguf", "mmproj[1].gguf"]
    source = HubSource("a/b", "main", "m-Q8_0[x].gguf")
    assert chosen_files(source, names) == ["m-Q8_0[x].gguf"]
    assert chosen_files(source, names[1:]) == ["m-Q8_0x.gguf"]
    assert chosen_files(replace(source, pattern="mmproj[1].gguf"), names) == ["mmproj[1].gguf"]
