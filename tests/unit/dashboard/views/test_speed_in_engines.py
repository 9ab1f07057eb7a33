"""View 4 and the pages around it for a folder whose files were run in two engines."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median
from typing import Any

import plotly.graph_objects as go
import pytest
from several_devices import make_devices

from dashboard.export.markdown import report
from dashboard.figures.point_labels import LABEL
from dashboard.insights.answers import Answers
from dashboard.pages import overview, summary
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.address import Address
from dashboard.shell.render import render
from dashboard.shell.toolbar import option_bar
from dashboard.style import formats
from dashboard.style.theme import QUIET
from dashboard.views import registry

VIEWS = {view.id: view for view in registry()}
SPEED = VIEWS["speed"]
ONNX = Selection.of(engine="onnxruntime")
BOTH = {"engines": "both"}
COLUMNS = {"llama.cpp": "llamacpp_decode_ms_p50", "onnxruntime": "decode_ms_p50"}
CHOICES = pytest.mark.parametrize(("selection", "engine"), [(EVERYTHING, "llama.cpp"), (ONNX, "onnxruntime")])


@pytest.fixture(scope="module")
def both(two_engines: Path) -> Results:
    return Results.open(two_engines)


def drawn_points(figure: go.Figure, symbols: str = "") -> set[tuple[str, float, float]]:
    """Variant, tokens per second and divergence of files; `symbols` is the end of their symbols' names."""
    return {
        (data[0], x, y)
        for trace in figure.data
        if trace.customdata is not None and str(trace.marker.symbol).endswith("-open") == bool(symbols)
        for data, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    }


def rate(row: dict[str, Any], column: str) -> float:
    """Tokens per second, from a time per token too."""
    return float(1000 / row[column] if "ms" in column else row[column])


def expected(results: Results, column: str, method: str = "") -> set[tuple[str, float, float]]:
    rows = results.measured.to_dicts()
    return {
        (row["variant_id"], rate(row, column), row["kld_mean"])
        for row in rows
        if method in {"", row["method"]}
    }


def said(results: Results, selection: Selection) -> str:
    found = SPEED.insights(Scope(results, selection))
    return "\n".join(f"{item.text} {item.detail}" for item in found)


@CHOICES
def test_points_title_and_axis_are_of_the_chosen_engine(
    both: Results, selection: Selection, engine: str
) -> None:
    figure = SPEED.figure(Scope(both, selection))
    assert drawn_points(figure) == expected(both, COLUMNS[engine])
    own = Answers.of(Scope(both, selection)).chosen
    assert own is not None
    where = "in llama.cpp" if engine == "llama.cpp" else "as packed ONNX (onnxruntime)"
    title = SPEED.headline(Scope(both, selection))
    speed = f"{formats.number(1000 / own[COLUMNS[engine]])} tokens/s"
    assert f"as fast as the recommended {own['label']} {where} (" in title
    assert f" against {speed}), at " in title
    assert where in figure.layout.xaxis.title.text
    assert where in said(both, selection)
    assert set(COLUMNS.values()) & set(SPEED.data(Scope(both, selection)).columns) == {COLUMNS[engine]}


def test_whisker_in_llama_ends_at_the_measured_loss(both: Results) -> None:
    figure = SPEED.figure(Scope(both, Selection.of(methods=["main"])))
    lines = [trace for trace in figure.data if trace.hoverinfo == "skip" and trace.mode == "lines+markers"]
    ends = {(trace.x[i], trace.y[i], trace.y[i + 1]) for trace in lines for i in range(0, len(trace.x), 3)}
    assert ends == {
        (rate(row, "llamacpp_decode_ms_p50"), row["llamacpp_baseline_kld_mean"], row["kld_mean"])
        for row in both.measured.filter(method="main").to_dicts()
    }
    assert "as run in llama.cpp" in {trace.name for trace in figure.data}
    assert "was measured" in SPEED.captioned(Scope(both))
    assert "adds the loss from packing" in SPEED.captioned(Scope(both, ONNX))


@CHOICES
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_both_engines_draw_every_file_twice(
    both: Results, selection: Selection, engine: str, phase: str
) -> None:
    options = {**BOTH, "phase": phase}
    names = (
        COLUMNS if phase == "decode" else {"llama.cpp": "llamacpp_prefill_tps", "onnxruntime": "prefill_tps"}
    )
    own, other = names[engine], next(name for key, name in names.items() if key != engine)
    for method, words in (("main", "open, with dotted lines"), ("", "open, without lines and bars")):
        part = Selection.of(engine=selection.engine, options=options, methods=[method] if method else [])
        scope = Scope(both, part)
        figure = SPEED.figure(scope)
        assert drawn_points(figure) == expected(both, own, method)
        assert drawn_points(figure, "-open") == expected(both, other, method)
        lines = [trace for trace in figure.data if trace.mode == "lines+markers" and trace.line.dash == "dot"]
        joined = {(name[0], x) for trace in lines for name, x in zip(trace.customdata, trace.x, strict=True)}
        assert joined == ({place[:2] for place in expected(both, other, method)} if method else set())
        assert {"llama.cpp", "packed ONNX (onnxruntime)"} <= {trace.name for trace in figure.data}
        assert words in SPEED.captioned(scope)
        assert set(names.values()) <= set(SPEED.data(scope).columns)


def test_the_two_points_of_a_picked_file_are_joined(both: Results) -> None:
    for methods in ([], ["main"]):
        picked = Selection.of(picked=["main-q4_0"], options=BOTH, methods=methods)
        row = both.measured.filter(variant_id="main-q4_0").row(0, named=True)
        assert joined(SPEED.figure(Scope(both, picked))) == {
            (rate(row, "llamacpp_decode_ms_p50"), rate(row, "decode_ms_p50"))
        }
        assert "joined if it is picked" in SPEED.captioned(Scope(both, picked))


def joined(figure: go.Figure) -> set[tuple[float, float]]:
    """Ends of the level lines between a file's speeds in two engines."""
    lines = [trace for trace in figure.data if trace.mode == "lines" and trace.hoverinfo == "skip"]
    return {
        (trace.x[i], trace.x[i + 1])
        for trace in lines
        for i in range(0, len(trace.x) - 2, 3)
        if trace.x[i + 2] is None and trace.y[i] == trace.y[i + 1] and trace.line.color != QUIET
    }


def test_of_a_crowd_the_two_points_of_labelled_files_are_joined(both: Results) -> None:
    scope = Scope(both, Selection.of(options=BOTH))
    figure = SPEED.figure(scope)
    rows = {row["variant_id"]: row for row in both.measured.to_dicts()}
    names = {
        row["variant_id"]
        for row in rows.values()
        for note in figure.layout.annotations
        if note.name == LABEL and note.x == pytest.approx(rate(row, "llamacpp_decode_ms_p50"))
        and 10**note.y == pytest.approx(row["kld_mean"])
    }  # fmt: skip
    assert 0 < len(names) < len(rows)
    assert joined(figure) == {
        (rate(rows[name], "llamacpp_decode_ms_p50"), rate(rows[name], "decode_ms_p50")) for name in names
    }
    assert "joined if it is labelled" in SPEED.captioned(scope)


def test_a_folder_of_one_engine_has_no_such_switch(three_methods: Path) -> None:
    results = Results.open(three_methods)
    one, asked = (SPEED.figure(Scope(results, part)) for part in (EVERYTHING, Selection.of(options=BOTH)))
    assert one.to_json() == asked.to_json()
    texts = [SPEED.headline(Scope(results)), SPEED.captioned(Scope(results)), said(results, EVERYTHING)]
    assert not re.search("llama.cpp|onnxruntime|engine", " ".join(texts))


def test_both_engines_are_drawn_of_one_device_only(tmp_path: Path) -> None:
    results = Results.open(make_devices(tmp_path, engines=("llama.cpp", "onnxruntime"), with_layers=False))
    address = Address.parse("/speed", "engines=both")
    for devices, offered in (([], False), (["cpu"], True)):
        part = Selection.of(devices=devices, options=BOTH)
        assert ("The points of a file are at one height" in SPEED.captioned(Scope(results, part))) is offered
        assert ("Engines" in str(option_bar(address.with_selection(part), results))) is offered


def test_hover_has_both_engines_and_depths(both: Results) -> None:
    row = both.measured.filter(variant_id="main-q4_0").row(0, named=True)
    (text,) = (
        text
        for trace in SPEED.figure(Scope(both)).data
        for text, data in zip(trace.hovertext or (), trace.customdata or (), strict=True)
        if data[0] == "main-q4_0"
    )
    for name, column in zip(("llama.cpp", "packed ONNX (onnxruntime)"), COLUMNS.values(), strict=True):
        speed = f"{formats.number(rate(row, column))} tokens/s, {formats.number(row[column])} ms per token"
        assert f"<b>{name}</b>: decode {speed}" in text
    assert re.search(r"tokens in the cache: .* ms after 0, .* ms after 256, .* ms after 4,096<br>", text)


def test_engines_are_compared(both: Results) -> None:
    rows = both.measured.to_dicts()
    text = said(both, EVERYTHING)
    ratios = [row["decode_ms_p50"] / row["llamacpp_decode_ms_p50"] for row in rows]
    llama = sum(row["llamacpp_decode_ms_p90"] < row["decode_ms_p10"] for row in rows)
    onnx = sum(row["decode_ms_p90"] < row["llamacpp_decode_ms_p10"] for row in rows)
    assert onnx > llama > 0
    times = formats.number(median(1 / ratio for ratio in ratios))
    faster = f"{onnx} of 21 files decode faster as packed ONNX (onnxruntime), {llama} in llama.cpp"
    assert f"{faster}: {times} × as fast at the median." in text
    assert f"{21 - onnx - llama} tied" in text
    added = formats.number(median(row["llamacpp_kld_mean"] for row in rows), 2)
    assert f"Running in llama.cpp adds {added} nats to a file's loss, packing for speed" in text
    assert "the first adds less for 21 of 21 files" in text
    assert "The order of the files by speed is not the same in both engines." in text
    assert "After 4,096 tokens, decoding a token takes 1.5 × as long as after 256 in llama.cpp." in text
    assert "4,096" not in said(both, ONNX)


def test_one_file_in_both_engines_is_told_as_one(both: Results) -> None:
    row = both.measured.filter(variant_id="main-q4_0").row(0, named=True)
    text = said(both, Selection.of(only=["main-q4_0"]))
    times = formats.number(row["decode_ms_p50"] / row["llamacpp_decode_ms_p50"])
    where = "in llama.cpp than as packed ONNX (onnxruntime)"
    assert f"main Q4_0 decodes faster {where}: {times} × as fast." in text
    assert "1.5 × as long as after 256 in llama.cpp. one file; " in text


def test_equal_speeds_are_not_called_too_few(both: Results) -> None:
    text = said(both, Selection.of(options={"phase": "prefill"}))
    assert "All timed variants have the same prefill speed in llama.cpp." in text


def test_what_needs_all_tokens_says_so(both: Results) -> None:
    part = Selection.of(bins=[1])
    assert "The loss added by running in llama.cpp is known over all tokens only." in said(both, part)
    assert "as long as after 256" in said(both, part)
    for more in ({}, {"engine": "onnxruntime"}, {"options": BOTH}):
        caption = SPEED.captioned(Scope(both, Selection.of(bins=[1], **more)))
        assert "The loss that running adds is known over all tokens only." in caption
        assert "lead to" not in caption
        assert "hollow" not in caption


@CHOICES
def test_every_page_names_the_engine(both: Results, selection: Selection, engine: str) -> None:
    where = "in llama.cpp" if engine == "llama.cpp" else "as packed ONNX (onnxruntime)"
    scope = Scope(both, selection)
    assert f"Generated tokens per second {where}" in str(overview.below(scope))
    adds = (
        "Running it in llama.cpp adds"
        if engine == "llama.cpp"
        else "Packing as ONNX, the form that is timed, adds"
    )
    assert adds in str(overview.beside(scope))
    assert f"| Decode {where} (ms) |" in report(scope)
    for page in (str(summary.body(scope)), report(scope)):
        assert f"the lowest decode time {where} of the methods" in page
    said_of_radar = [item.detail for item in VIEWS["radar"].insights(scope) if "paired error" in item.detail]
    assert all(f"error of speed {where}, " in detail for detail in said_of_radar)
    assert len(said_of_radar) > 1, "a leader, and a tie"
    assert "decode speed" in VIEWS["radar"].captioned(scope), "not outside the spread, so no axis"
    shown = render(both, "/speed", selection)
    assert all(where in claim.evidence for claim in shown.claims if "decoded token" in claim.evidence)
    assert any(where in claim.evidence for claim in shown.claims)
