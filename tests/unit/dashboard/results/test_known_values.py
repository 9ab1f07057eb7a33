"""What a folder does not hold is let go of before anything is computed: on the screen and in what is saved."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest
from flask.testing import FlaskClient

from dashboard.results.known_values import known, values
from dashboard.results.library import Library
from dashboard.results.memo import Memo
from dashboard.results.results import Results
from dashboard.results.selection import EVERYTHING, FIELDS, Selection
from dashboard.server.app import create_app
from dashboard.shell.address import Address
from dashboard.shell.callbacks import screen

THERE = (
    "model=Synthetic-135M&device=cpu&method=main&quant=Q4_0&bits=3-6&domain=code&bin=1&layer=-1&layer=1&role=attn_q"
    "&only=main-q4_0&pick=main-q4_0&a=main-q4_0&b=main-q8_0&gb=2&x=gb"
)
ABSENT = (
    "model=m&device=tpu&method=typo&quant=Q9&domain=typo&layer=900&role=typo&only=no&pick=no&a=typo&b=typo"
)


@pytest.fixture(scope="module")
def library(three_methods: Path, one_method: Path) -> Library:
    return Library([three_methods, one_method])


@pytest.fixture(scope="module")
def client(three_methods: Path) -> FlaskClient:
    return create_app(three_methods).server.test_client()


def test_what_is_there_is_kept_and_nothing_else(three_methods: Path) -> None:
    results = Results.open(three_methods)
    there = Address.parse("/", THERE).selection
    assert known(there, results) == there
    assert known(Address.parse("/", ABSENT).selection, results) == EVERYTHING
    assert known(Address.parse("/", f"{THERE}&{ABSENT}").selection, results).devices == {"cpu"}
    assert known(Selection.of(picked=["baseline-f16"]), results) == EVERYTHING, (
        "no view highlights a baseline"
    )


def test_every_set_of_an_address_is_looked_at(three_methods: Path) -> None:
    results = Results.open(three_methods)
    assert {key for key in FIELDS if values(results, key) is None} == {"bin"}, (
        "which the address itself bounds"
    )


@pytest.mark.parametrize("slug", ["/", "/layers", "/ppl-bits", "/compare", "/summary"])
@pytest.mark.parametrize("query", ABSENT.split("&"))
def test_a_screen_ignores_what_is_not_there(library: Library, slug: str, query: str) -> None:
    shown, whole = screen(library, slug, f"?{query}", {}), screen(library, slug, "", {})
    assert shown["address"]["query"] == ""
    assert shown["title"] == whole["title"]
    assert shown["chips"] == []


def test_layers_of_another_folder(library: Library) -> None:
    shown = screen(library, "/layers", f"?results={library.names[1]}&layer=1", {})
    assert "layer" not in shown["address"]["query"]


def test_a_combination_without_measurements_says_so(library: Library) -> None:
    shown = screen(library, "/layers", "?layer=-1&role=attn_q", {})
    assert shown["title"] == (
        "Attention queries (attn_q) in embedding and head: the shown variants have no relative weight error there"
    )


@pytest.mark.parametrize("query", ["domain=typo", "method=typo", "role=typo"])
def test_what_is_saved_ignores_it_too(client: FlaskClient, query: str) -> None:
    saved, whole = (client.get(f"/export/data/layers.csv?{part}").data for part in (query, ""))
    assert saved == whole
    points = pl.read_csv(io.BytesIO(client.get(f"/export/data/ppl-bits.csv?{query}").data))
    assert points["ppl"].null_count() == 0


def test_addresses_made_up_are_not_computed(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise AssertionError("a part of the tokens that no folder has was computed")

    monkeypatch.setattr(Results, "_computed", fail)
    assert client.get("/export/data/ppl-bits.csv?domain=made-up").status_code == 200
    assert client.get("/export/report.md?domain=made-up").status_code == 200


def test_frames_over_parts_of_the_tokens_are_bounded(three_methods: Path) -> None:
    results = Results.open(three_methods)
    for held in (results._recomputed, results._deltas, results._selected):
        assert isinstance(held, Memo)
        assert held._most is not None
    results.delta("main-q4_0", Selection.of(bins=[1]))
    results.select(Selection.of(bins=[1]))
    assert len(results._recomputed._values) == len(results._deltas._values) == 1
