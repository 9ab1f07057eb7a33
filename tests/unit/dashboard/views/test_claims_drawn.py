"""What a title says is drawn: in views 1, 2, 4 and 5, with every combination of their switches."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from results_factory import BITS, MORE_BITS, make_results

from dashboard.figures.drawing import Drawing
from dashboard.figures.point_labels import LABEL
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.views import View, registry

RING = 22
IDS = ("ppl-bits", "degradation", "speed", "size")
VIEWS = {view.id: view for view in registry() if view.id in IDS}
FOLDERS: dict[str, dict[str, Any]] = {
    "crowded": {
        "methods": ("bartowski", "guided", "main", "unsloth"),
        "quants": tuple(BITS | MORE_BITS),
        "engines": ("llama.cpp", "onnxruntime"),
        "with_caches": True,
        "windows": 8,
    },
    "few": {"quants": ("Q4_K_M",), "windows": 8},
    "one": {"methods": ("main",), "quants": ("Q2_K", "Q8_0"), "windows": 8},
}
#: Lengths of the cache of which one is enough here.
LIKE_16K = {"4k", "8k", "32k", "128k"}
SWITCHES = [
    pytest.param(view.id, dict(values), id=f"{view.id}-{'-'.join(value for _, value in values)}")
    for view in VIEWS.values()
    for values in itertools.product(
        *(
            [(option.key, value) for value, _ in option.choices if value not in LIKE_16K]
            for option in view.options
        )
    )
]


@pytest.fixture(scope="module", params=FOLDERS)
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder: Path = tmp_path_factory.mktemp(request.param)
    return Results.open(make_results(folder, with_layers=False, **FOLDERS[request.param]))


def labels(figure: Drawing) -> Iterator[tuple[str, str]]:
    """Variant and text of every labelled point: the label is at the point, in its method's colour."""
    is_log = figure.layout["yaxis"].get("type") == "log"
    for note in figure.layout["annotations"]:
        if note.get("name") != LABEL:
            continue
        height = 10 ** note["y"] if is_log else note["y"]
        for trace in figure.data:
            for index, data in enumerate(trace.get("customdata") or ()):
                color = trace["marker"]["color"]
                own = color if isinstance(color, str) else color[index]
                there = (trace["x"][index], trace["y"][index]) == pytest.approx((note["x"], height))
                if there and own == note["templateitemname"]:
                    yield data[0], note["text"]


def named(title: str, results: Results) -> set[str]:
    """Ids of the variants whose whole label stands in a title."""
    found = {label: name for name, label in results.labels.items() if label in title}
    return {name for label, name in found.items() if not any(label != o and label in o for o in found)}


def rings(figure: Drawing) -> list[tuple[float, float]]:
    return [
        (trace["x"][0], trace["y"][0])
        for trace in figure.data
        if trace.get("marker", {}).get("symbol") == "circle-open" and trace["marker"]["size"] == RING
    ]


@pytest.mark.parametrize(("slug", "options"), SWITCHES)
def test_files_in_the_title_are_labelled_with_what_it_says(
    results: Results, slug: str, options: dict[str, str]
) -> None:
    view: View = VIEWS[slug]
    for filters in ({}, {"methods": ["main"]}):
        scope = Scope(results, Selection.of(options=options, **filters))  # type: ignore[arg-type]
        title, figure = view.headline(scope), view.draw(scope)
        told = named(title, results)
        bold = {name: text for name, text in labels(figure) if text.startswith("<b>")}
        assert told <= set(bold), title
        for text in bold.values():
            _, _, value = text.removeprefix("<b>").removesuffix("</b>").partition(" · ")
            assert value in title, title
        if told and slug != "degradation":
            assert rings(figure), title


@pytest.mark.parametrize("slug", IDS)
def test_words_change_with_what_is_drawn(results: Results, slug: str) -> None:
    """Switches that draw another picture have another title, caption or axis."""
    view, said = VIEWS[slug], set()
    scopes = [
        Scope(results, Selection.of(options=case.values[1])) for case in SWITCHES if case.values[0] == slug
    ]  # type: ignore[call-overload, index]  # slug and options
    pictures = {json.dumps(view.draw(scope).to_plotly_json(), default=str): scope for scope in scopes}
    for scope in pictures.values():
        axes = (view.draw(scope).layout[axis]["title"]["text"] for axis in ("xaxis", "yaxis"))
        said.add((view.headline(scope), view.captioned(scope), *axes))
    assert len(said) == len(pictures)


def lines(figure: Drawing) -> list[float]:
    return [shape["y0"] for shape in figure.layout.get("shapes", []) if shape["type"] == "line"]


def test_limits_are_lines_at_their_values(three_methods: Path) -> None:
    results = Results.open(three_methods)
    base = float(results.baseline["ppl"])

    def limit(slug: str, **options: str) -> list[float]:
        return lines(VIEWS[slug].draw(Scope(results, Selection.of(options=options))))

    assert limit("ppl-bits") == [pytest.approx(1)]
    assert limit("ppl-bits", y="level") == pytest.approx([base, 1.01 * base])
    assert limit("size") == [pytest.approx(100 * (1 - 1 / 1.03))]
    assert limit("size", accuracy="level") == pytest.approx([1 / base, 1 / (1.03 * base)])


def test_points_are_at_their_distances_from_the_baseline(three_methods: Path) -> None:
    results = Results.open(three_methods)
    rows = {row["variant_id"]: row for row in results.measured.to_dicts()}
    wanted = {
        "ppl-bits": lambda row: 100 * (row["ppl"] / results.baseline["ppl"] - 1),
        "size": lambda row: 100 * (1 - results.baseline["ppl"] / row["ppl"]),
        "degradation": lambda row: math.log(row["ppl"] / results.baseline["ppl"]),
    }
    for slug, value in wanted.items():
        figure = VIEWS[slug].draw(Scope(results, Selection()))
        assert figure.layout["yaxis"]["type"] == "log"
        for trace in figure.data:
            if trace.get("name") in {"bartowski", "main", "unsloth"}:
                for (name,), y in zip(trace["customdata"], trace["y"], strict=True):
                    assert y == pytest.approx(value(rows[name]), rel=1e-5), (slug, name)


def test_the_size_at_which_methods_are_compared_is_marked(three_methods: Path) -> None:
    results = Results.open(three_methods)
    scope = Scope(results, Selection())
    view = VIEWS["degradation"]
    title, figure = view.headline(scope), view.draw(scope)
    notes = [note["text"] for note in figure.layout["annotations"]]
    assert [note for note in notes if title.startswith(f"At {note} ")]
    (upright,) = [shape for shape in figure.layout["shapes"] if shape["type"] == "line"]
    assert upright["x0"] == upright["x1"]


def test_the_cost_of_a_bit_is_drawn_as_lines_of_that_slope(three_methods: Path) -> None:
    scope = Scope(Results.open(three_methods), Selection.of(options={"loss": "kld"}))
    figure, title = VIEWS["degradation"].draw(scope), VIEWS["degradation"].headline(scope)
    fits = {trace["meta"]["fit"]: trace for trace in figure.data if "fit" in (trace.get("meta") or {})}
    assert set(fits) == {"bartowski", "main", "unsloth"}
    notes = {note["name"]: note["text"] for note in figure.layout["annotations"] if "name" in note}
    factors = []
    for method, line in fits.items():
        (x0, x1), (y0, y1) = line["x"], line["y"]
        factor = f"{(y0 / y1) ** (1 / (x1 - x0)):.1f}"
        assert f"× {factor} per bit" in notes[method]
        factors.append(factor)
    assert all(end in title for end in (min(factors), max(factors)))


def test_the_speeds_that_the_title_compares_are_shaded(two_engines: Path) -> None:
    results = Results.open(two_engines)
    for phase in ("decode", "prefill"):
        scope = Scope(results, Selection.of(options={"phase": phase}))
        title, figure = VIEWS["speed"].headline(scope), VIEWS["speed"].draw(scope)
        bands = [shape for shape in figure.layout.get("shapes", []) if shape["type"] == "rect"]
        assert bool(bands) == any(words in title for words in ("choose by loss", " × as fast as "))
        for band in bands:
            ((x, _),) = rings(figure)
            assert band["x0"] <= x <= band["x1"]


def test_memory_in_which_a_file_wins_is_shaded(results: Results) -> None:
    scope = Scope(results, Selection.of(options={"memory": "16k"}))
    if "beats" not in (title := VIEWS["size"].headline(scope)):
        pytest.skip("no types of the cache")
    figure = VIEWS["size"].draw(scope)
    (band,) = [shape for shape in figure.layout["shapes"] if shape["type"] == "rect"]
    assert f"{band['x0']:.1f} MB" in title
    assert any(note["text"] in title for note in figure.layout["annotations"])
