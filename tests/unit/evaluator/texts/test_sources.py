"""Reading texts by a `--text` argument."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import unicodedata
import zipfile

import pytest
from hub_server import hub_server

from evaluator.models.sources.hub import Hub
from evaluator.support.errors import RequestError
from evaluator.texts import sources as text_sources
from evaluator.texts.sources import BUILT_IN_DOMAINS, built_in_texts, read_texts


def silent(_):
    pass


def read_one(argument, model=None):
    (text,) = read_texts(argument, model, silent)
    return text


@pytest.mark.parametrize(
    ("file", "argument", "domain"),
    [
        ("a.txt", "{}", "a"),
        ("a.txt", "prose={}", "prose"),
        ("a=b.txt", "{}", "a=b"),
        ("a=b.txt", "dom={}", "dom"),
        ("builtin", "{}", "builtin"),
        ("wikitext-2", "w={}", "w"),
    ],
)
def test_domain_is_what_stands_before_the_file(tmp_path, monkeypatch, file, argument, domain):
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_bytes(b"one\r\ntwo")
    text = read_one(argument.format(file))
    assert (text.domain, text.name, text.content, text.control) == (domain, file, "one\r\ntwo", {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ab\xff", r"not UTF-8 text \(byte 2\)"),
        (b" \n", "empty"),
        (None, "cannot be read: .*known names: builtin, wikitext-2"),
    ],
)
def test_unusable_text_says_why(tmp_path, content, message):
    path = tmp_path / "t.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RequestError, match=message):
        read_one(f"d={path}")


def test_folder_is_not_a_text(tmp_path):
    with pytest.raises(RequestError, match="cannot be read"):
        read_one(str(tmp_path))


def test_built_in_texts_come_by_name_one_per_domain():
    texts = read_texts("builtin", None, silent)
    assert [text.domain for text in texts] == list(BUILT_IN_DOMAINS)
    assert texts == built_in_texts()
    assert all(len(text.content.encode()) > 5000 for text in texts)


def test_the_long_document_refers_only_to_sections_that_it_has():
    content = next(text.content for text in built_in_texts() if text.domain == "long_document")
    headings = set(re.findall(r"^(\d(?:\.\d)?)\.? [A-Z]", content, re.MULTILINE))
    mentioned = re.findall(r"section (\d(?:\.\d)?)", content)
    assert len(mentioned) > 10
    assert set(mentioned) <= headings


def test_tool_calls_hold_json_that_can_be_read():
    content = next(text.content for text in built_in_texts() if text.domain == "tool_calls")
    objects = re.findall(r"^(?:assistant|tool \w+): (\{.*\})$", content, re.MULTILINE)
    assert len(objects) > 15
    for item in objects:
        json.loads(item)


@pytest.mark.parametrize("script", ["CYRILLIC", "GREEK", "CJK"])
def test_the_text_in_other_scripts_is_mostly_not_latin(script):
    content = next(text.content for text in built_in_texts() if text.domain == "non_latin")
    letters = [unicodedata.name(letter, "") for letter in content if letter.isalpha()]
    assert not any(name.startswith("LATIN") for name in letters)
    assert sum(name.startswith(script) for name in letters) > 500


def archive(content, member="wikitext-2-raw/wiki.test.raw"):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as members:
        members.writestr(member, content)
    return packed.getvalue()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "notes"))
    with hub_server() as state:
        yield state


def fetch_wikitext(server, tmp_path, argument="wikitext-2"):
    return read_texts(argument, None, silent, Hub(server.endpoint, tmp_path / "hub"))


def test_wikitext_is_fetched_once_and_checked(server, tmp_path, monkeypatch):
    content = " \n = Heading = \n"
    member = ("wikitext-2-raw/wiki.test.raw", hashlib.sha256(content.encode()).hexdigest())
    monkeypatch.setitem(text_sources._WIKITEXT_MEMBERS, "wikitext-2", member)
    server.repos["ggml-org/ci"] = {"wikitext-2-raw-v1.zip": archive(content)}
    texts = [fetch_wikitext(server, tmp_path, name)[0] for name in ("wikitext-2", "wiki=wikitext-2")]
    assert [(text.domain, text.content) for text in texts] == [("wikitext", content), ("wiki", content)]
    assert len(server.ranges("wikitext-2-raw-v1.zip")) == 1


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (archive("something else"), "is not the canonical one"),
        (archive("x", "other.txt"), "does not hold wikitext-2-raw/wiki.test.raw"),
        (b"no archive", "does not hold"),
    ],
)
def test_another_wikitext_is_refused(server, tmp_path, packed, message):
    server.repos["ggml-org/ci"] = {"wikitext-2-raw-v1.zip": packed}
    with pytest.raises(RequestError, match=message):
        fetch_wikitext(server, tmp_path)


@pytest.mark.parametrize("argument", ["", "a=", " ", "chat:", "a=chat:"])
def test_an_argument_that_names_no_file_is_refused(argument):
    with pytest.raises(RequestError, match=f"text '{argument}': names no file"):
        read_one(argument)


def test_a_name_that_is_not_text_is_shown_readably(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    try:
        path.write_text("words", encoding="utf-8")
    except OSError:
        pytest.skip("this disk takes no such name")
    for label, domain in (
        ("", "caf\N{REPLACEMENT CHARACTER}"),
        (os.fsdecode(b"\xe9="), "\N{REPLACEMENT CHARACTER}"),
    ):
        text = read_one(f"{label}{path}")
        assert text.path == str(path)
        assert (text.domain, text.name) == (domain, "caf\N{REPLACEMENT CHARACTER}.txt")
