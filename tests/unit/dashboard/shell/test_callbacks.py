"""An address in, a screen out: what changes, what stays, and links that lead where they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dash import no_update
from dash.development.base_component import Component

from dashboard.results.library import Library
from dashboard.results.selection import Selection
from dashboard.shell import render
from dashboard.shell.address import Address
from dashboard.shell.callbacks import screen
from dashboard.views import registry


@pytest.fixture(scope="module")
def library(three_methods: Path, one_method: Path) -> Library:
    return Library([three_methods, one_method])


def links(parts: Any) -> Iterator[str]:
    for part in parts if isinstance(parts, list) else [parts]:
        if isinstance(part, Component):
            if getattr(part, "href", None):
                yield part.href
            yield from links(getattr(part, "children", None))


def text_of(parts: Any) -> str:
    if isinstance(parts, list):
        return " ".join(map(text_of, parts))
    return text_of(getattr(parts, "children", "")) if isinstance(parts, Component) else str(parts or "")


def test_address_round_trip() -> None:
    address = Address.parse("/size/", "?results=b&x=gb&pick=v&method=main&junk=1")
    assert (address.slug, address.folder) == ("size", "b")
    assert address.selection.picked == {"v"}
    assert Address.parse(address.path, address.query) == address
    assert Address.parse("/", None).href == "/"


def test_options_come_and_go() -> None:
    address = Address.parse("/", "gb=2").with_option("tps", "20")
    assert address.selection.options == (("gb", "2"), ("tps", "20"))
    assert address.with_option("gb", None).selection.options == (("tps", "20"),)


def test_the_first_screen_fills_the_panel_later_ones_do_not(library: Library) -> None:
    first = screen(library, "/", "", {})
    assert [option["value"] for option in first["options-method"]] == ["bartowski", "main", "unsloth"]
    later = screen(library, "/size", "?method=main", first["address"])
    assert not [name for name in later if name.startswith("options-")]
    assert later["value-method"] == ["main"]
    other = screen(library, "/size", f"?results={library.names[1]}", later["address"])
    assert [option["value"] for option in other["options-method"]] == ["main"]


def test_every_chip_removes_its_own_filter(library: Library) -> None:
    query = (
        "?method=main&quant=Q4_0&bits=3-6&domain=code&bin=1&pick=main-q4_0&layer=1&role=attn_q&only=main-q4_0"
    )
    shown = screen(library, "/size", query, {})
    whole = Address.parse("/size", query).selection
    targets = [Address.parse(*link.split("?")).selection for link in links(shown["chips"])]
    fields = [
        {name for name in Selection.__annotations__ if getattr(target, name) != getattr(whole, name)}
        for target in targets
    ]
    let_go, kept, *removed = fields
    assert removed == [
        {"methods"}, {"quants"}, {"bits"}, {"domains"}, {"bins"}, {"layers"}, {"roles"}, {"only"},
    ]  # fmt: skip
    assert let_go == {"picked"}
    assert kept == {"picked"}, "what is picked is the filter already"
    assert targets[1].only == {"main-q4_0"}


def test_names_of_another_folder_are_let_go(library: Library) -> None:
    shown = screen(library, "/size", "?pick=elsewhere&domain=poetry&method=nobody&quant=Q4_0", {})
    assert shown["address"]["query"] == "quant=Q4_0"
    assert shown["address"]["picked"] == []
    assert screen(library, "/", "?results=elsewhere", {})["address"]["folder"] == ""


def test_a_part_of_the_tokens_is_said_everywhere(library: Library) -> None:
    shown = screen(library, "/ppl-bits", "?domain=code", {})
    assert "384 of 1,536 tokens" in text_of(shown["status"])
    assert "Text: code; scored: 384 of 1,536 tokens" in shown["caption"][-1]
    whole = screen(library, "/ppl-bits", "", {})
    assert shown["drawing"]["figure"] != whole["drawing"]["figure"]


def test_methods_left_out_stay_in_the_legend(library: Library) -> None:
    traces = screen(library, "/ppl-bits", "?method=main", {})["drawing"]["figure"]["data"]
    ghosts = {trace["name"]: trace for trace in traces if trace.get("visible") == "legendonly"}
    assert set(ghosts) == {"bartowski", "unsloth"}
    ranks = {trace["name"]: trace["legendrank"] for trace in traces if trace.get("legendrank")}
    assert sorted(ranks, key=ranks.__getitem__) == ["bartowski", "main", "unsloth"]


def test_the_table_is_replaced_only_when_its_rows_change(library: Library) -> None:
    first = screen(library, "/explore", "", {})
    picked = screen(library, "/explore", "?pick=main-q4_0", first["address"])
    assert picked["body"] is no_update
    assert screen(library, "/explore", "?method=main", picked["address"])["body"] is not no_update


@pytest.mark.parametrize("path", ["/", "/compare", "/explore", "/summary", *(f"/{v.id}" for v in registry())])
@pytest.mark.parametrize("query", ["", "?bits=0-1", "?bin=4&domain=code", "?only=main-q4_0&pick=main-q4_0"])
def test_every_screen_is_small_and_whole(library: Library, path: str, query: str) -> None:
    for folder in ("", library.names[1]):
        shown = screen(library, path, f"{query or '?'}&results={folder}", {})
        assert shown["title"] not in {"", "This page cannot be drawn"}
        size = len(json.dumps({name: _plain(value) for name, value in shown.items()}))
        assert size < 300_000


def test_a_page_is_drawn_once(three_methods: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library([three_methods])
    query = "?method=main&pick=main-q4_0"
    first = screen(library, "/ppl-bits", query, {})
    other = screen(library, "/ppl-bits", "?method=main", {})
    monkeypatch.setattr(render, "charts", lambda: pytest.fail("drawn again"))
    assert _plain(screen(library, "/ppl-bits", query, {})) == _plain(first)
    assert first["picked"] != other["picked"]


def test_a_fault_in_one_view_is_said_there(three_methods: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library([three_methods])

    def broken(*_arguments: object) -> None:
        raise RuntimeError("the reason")

    view = replace(registry()[0], headline=broken)
    monkeypatch.setattr(render, "charts", lambda: (view, *registry()[1:]))
    shown = screen(library, f"/{view.id}", "", {})
    assert shown["title"] == "This page cannot be drawn"
    assert "the reason" in text_of(shown["body"])
    assert "drawing" in screen(library, "/degradation", "", {})


def _plain(value: Any) -> Any:
    return json.loads(
        json.dumps(value, default=lambda item: getattr(item, "to_plotly_json", lambda: str(item))())
    )


def test_the_page_that_measures_shows_no_folder_and_keeps_what_was_typed(one_method, tmp_path):
    for folder in (one_method, tmp_path):
        library = Library([folder])
        shown = screen(library, "/measure", "?pick=x", {}, measures=True)
        assert shown["title"] == "Measure your own files"
        assert shown["body"].id == "measure"
        assert shown["hidden-method"]
        again = screen(library, "/measure", "?method=main", shown["address"], measures=True)
        assert again["body"] is no_update
        assert screen(library, "/measure", "", {})["title"] != shown["title"]
    back = screen(Library([one_method]), "/ppl-bits", "", shown["address"], measures=True)
    assert {option["value"] for option in back["options-method"]} == {"main"}
