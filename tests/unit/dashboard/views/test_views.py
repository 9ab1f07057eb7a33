"""Every registered view on full, sparse and empty data; views of other shapes fail in their own words."""

import json
import re
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import polars as pl
import pytest
from plotly.utils import PlotlyJSONEncoder
from results_factory import make_results

from dashboard.figures.drawing import Drawing
from dashboard.insights import Insight
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.shell.measured import status
from dashboard.shell.render import render
from dashboard.views import Option, View, registry
from evaluator.results.schema import ROLES

SELECTIONS = {
    "all": Selection(),
    "one method": Selection.of(methods=["main"]),
    "one variant": Selection.of(methods=["main"], quants=["Q4_0"]),
    "nothing": Selection.of(methods=["absent"]),
}
VIEWS = pytest.mark.parametrize("view", registry(), ids=lambda view: view.id)
#: Layers and confidence are coloured by value, not by method.
BY_METHOD = [view for view in registry() if view.id not in {"layers", "confidence"}]


@pytest.fixture(scope="module")
def three(three_methods: Path) -> Results:
    return Results.open(three_methods)


@pytest.fixture(scope="module")
def one(one_method: Path) -> Results:
    return Results.open(one_method)


def check(view: View, results: Results, selection: Selection) -> list[Insight]:
    figure = view.figure(Scope(results, selection))
    assert isinstance(figure, go.Figure)
    assert sent(view.draw(Scope(results, selection))) == sent(figure), "what is sent is what was checked"
    assert len(figure.to_json()) < 300_000, "summaries go to the browser, not tokens"
    assert figure.layout.paper_bgcolor is None, "the shell chooses the theme"
    insights = view.insights(Scope(results, selection))
    assert insights
    texts = [view.headline(Scope(results, selection)), *(insight.text for insight in insights)]
    assert not re.search(r"\b(nan|inf|n/a)\b", " ".join(texts))
    assert insights == view.insights(Scope(results, selection)), "the same input gives the same sentences"
    return insights


def sent(figure: Drawing | go.Figure) -> dict[str, Any]:
    """What a browser gets of a figure, without plotly.py's own template."""
    plain: dict[str, Any] = json.loads(json.dumps(figure.to_plotly_json(), cls=PlotlyJSONEncoder))
    plain["layout"].pop("template", None)
    return plain


def test_views_are_numbered_without_a_gap() -> None:
    assert [view.number for view in registry()] == list(range(1, len(registry()) + 1))


@VIEWS
@pytest.mark.parametrize("name", SELECTIONS)
def test_three_methods(view: View, three: Results, name: str) -> None:
    assert view.absent(three) is None
    check(view, three, SELECTIONS[name])


@VIEWS
@pytest.mark.parametrize("name", SELECTIONS)
def test_one_method(view: View, one: Results, name: str) -> None:
    absent = view.absent(one)
    assert (absent is not None) == (view.id in {"layers", "speed"})
    if absent is not None:
        assert "python -m evaluator run" in absent.command
        assert str(one.folder) in absent.command
        return
    check(view, one, SELECTIONS[name])


@VIEWS
def test_empty_selection_cannot_be_told(view: View, three: Results) -> None:
    assert [insight.kind for insight in view.insights(Scope(three, SELECTIONS["nothing"]))] == ["unknown"]


OPTIONS = [
    pytest.param(view, option, value, id=f"{view.id}-{option.key}-{value}")
    for view in registry()
    for option in view.options
    for value, _ in option.choices
]


@pytest.mark.parametrize(("view", "option", "value"), OPTIONS)
def test_every_option_draws_something_else(view: View, option: Option, value: str, three: Results) -> None:
    for picked in ((), ("main-q4_0", "unsloth-q8_0")):
        selection = Selection.of(picked=picked, options={option.key: value})
        assert option.of(selection) == value
        check(view, three, selection)
    default = view.figure(Scope(three, Selection())).to_json()
    # Without attribution "most telling" is the weight error.
    same = value in {option.choices[0][0], "weight", *option.withheld(three)} or not option.applies(
        Scope(three)
    )
    assert (view.figure(Scope(three, Selection.of(options={option.key: value}))).to_json() == default) == same


#: The fewest and the most that are drawn apart, and those between.
FEW = [2, *(pytest.param(many, marks=pytest.mark.slow) for many in (3, 4, 5)), 6]


@pytest.mark.parametrize("many", FEW)
@pytest.mark.parametrize(("view", "option", "value"), OPTIONS)
def test_every_option_draws_up_to_six_variants(
    view: View, option: Option, value: str, many: int, three: Results
) -> None:
    ids = [f"{method}-{quant}" for quant in ("q4_0", "q8_0") for method in ("main", "unsloth", "bartowski")]
    check(view, three, Selection.of(picked=ids[:many], options={option.key: value}))
    check(view, three, Selection.of(only=ids[:many], options={option.key: value}))


def test_an_unknown_option_means_the_default() -> None:
    for view in registry():
        for option in view.options:
            assert option.of(Selection.of(options={option.key: "nonsense"})) == option.choices[0][0]


def points(figure: go.Figure) -> set[str]:
    """Variant ids that points, bars and cells of a figure stand for."""
    found = set()
    for trace in figure.data:
        data = [] if trace.customdata is None else list(trace.customdata)
        cells = [cell for line in data for cell in line] if trace.type == "heatmap" else data
        found |= {str(cell[0]) for cell in cells}
    return found


@VIEWS
def test_points_name_their_variants(view: View, three: Results) -> None:
    known = set(three.variants["variant_id"].to_list())
    named = points(view.figure(Scope(three, Selection())))
    assert named <= known
    # View 7 draws two sizes, each with a file of every method.
    expected = {"layers": 3, "radar": 3, "delta-logp": 6}.get(view.id, 21)
    assert len(named - {three.baseline["variant_id"]}) == expected


@VIEWS
def test_a_click_names_what_the_view_says_it_picks(view: View, three: Results) -> None:
    trace = next(t for t in view.figure(Scope(three, Selection())).data if t.customdata is not None)
    first = trace.customdata[0][0] if trace.type == "heatmap" else trace.customdata[0]
    if view.pick == "bin":
        assert first[1] in range(5)
    elif view.pick == "layer":
        assert first[1] >= -1
        assert first[2] in ROLES
    else:
        assert len(first) == 1


@pytest.mark.parametrize("view", BY_METHOD, ids=lambda view: view.id)
def test_picked_points_stand_out(view: View, three: Results) -> None:
    figure = view.figure(Scope(three, Selection.of(picked=["main-q4_0"])))
    if view.id == "radar":
        faint = {trace.meta["variant_id"]: trace.opacity for trace in figure.data if trace.meta}
        assert {name for name, opacity in faint.items() if opacity == 1} == {"main-q4_0"}
        return
    traces = [trace for trace in figure.data if trace.customdata is not None]
    chosen = {str(trace.customdata[index][0]) for trace in traces for index in (trace.selectedpoints or ())}
    assert chosen == {"main-q4_0"}
    assert all(trace.unselected.marker.opacity < 0.5 for trace in traces)
    absent = view.figure(Scope(three, Selection.of(picked=["not-here"])))
    assert all(trace.selectedpoints is None for trace in absent.data if trace.type == "scatter")


PARTS = {
    "bins": Selection.of(bins=[0, 4]),
    "domain": Selection.of(domains=["code"]),
    "layer": Selection.of(layers=[3], roles=["attn_q"]),
}


@VIEWS
@pytest.mark.parametrize("name", PARTS)
def test_parts_of_the_tokens_and_layers(view: View, three: Results, name: str) -> None:
    check(view, three, PARTS[name])
    assert all(claim.evidence for claim in view.claims(Scope(three, PARTS[name])))


def test_insights_are_few(three: Results) -> None:
    """Commands to copy are no statements."""
    said = {
        view.id: [i for i in view.insights(Scope(three, Selection())) if not i.command] for view in registry()
    }
    assert {name: len(items) for name, items in said.items() if len(items) > 6} == {}


@VIEWS
def test_without_token_frames(view: View, tmp_path: Path) -> None:
    folder = make_results(tmp_path, methods=("main", "unsloth"), quants=("Q4_0", "Q6_K", "Q8_0"), windows=4)
    for path in (folder / "tokens").iterdir():
        path.unlink()
    results = Results.open(folder)
    absent = view.absent(results)
    assert (absent is not None) == (view.id in {"confidence", "delta-logp"})
    if absent is None:
        check(view, results, Selection())


@pytest.mark.parametrize("view", BY_METHOD, ids=lambda view: view.id)
def test_figures_carry_the_methods_colour(view: View, three: Results) -> None:
    text = view.figure(Scope(three, Selection())).to_json()
    for method in three.methods:
        assert three.styles[method].color in text


@pytest.mark.parametrize(
    "path", ["/", "/summary", "/nowhere", "/../etc", *(f"/{view.id}" for view in registry())]
)
@pytest.mark.parametrize("name", SELECTIONS)
def test_every_address_renders(three: Results, one: Results, path: str, name: str) -> None:
    for results in (three, one):
        page = render(results, path, SELECTIONS[name])
        assert page.title
        assert (page.figure is None) != (page.body is None) or path == "/", "the first page has both"


def test_status_counts(three: Results) -> None:
    assert status(Scope(three, Selection.of(methods=["main"])))[0] == "7 of 21 variants"
    assert "1,536 tokens" in status(Scope(three, Selection()))


def test_one_method_is_not_compared_with_itself(one: Results) -> None:
    insights = registry()[0].insights(Scope(one, Selection()))
    assert any("a comparison needs at least two" in insight.text for insight in insights)


def test_layers_show_the_type_that_methods_share(three: Results) -> None:
    notes = [a.text for a in registry()[2].figure(Scope(three, Selection())).layout.annotations]
    titles = [text for text in notes if " bits" in text]
    assert len(titles) == 3
    assert len({title.split("<br>")[0].split(" ")[1] for title in titles}) == 1
    assert [title.endswith("recommended") for title in titles] == [True, False, False]


def test_radar_shows_one_variant_per_method_when_crowded(three: Results) -> None:
    figure = registry()[7].figure(Scope(three, Selection()))
    files = [trace for trace in figure.data if trace.meta]
    assert sorted(trace.name.split(" ")[0] for trace in files) == ["bartowski", "main", "unsloth"]
    assert {len(trace.r) for trace in files} == {len(figure.layout.polar.angularaxis.tickvals) + 1}


NOTHING = pl.lit(None, pl.Float64)
MUTATIONS = {
    "no perplexity": {"ppl": NOTHING, "ln_ppl_ratio": NOTHING, "inv_ppl_per_mb": NOTHING},
    "no divergence": {"kld_mean": NOTHING, "kld_se": NOTHING, "kld_se_clustered": NOTHING},
    "no errors": {
        "ppl_se": NOTHING,
        "ln_ppl_ratio_se": NOTHING,
        "kld_se": NOTHING,
        "kld_se_clustered": NOTHING,
    },
    "all alike": {"bits_per_weight": pl.lit(4.5), "size_bytes": pl.lit(1000)},
    "exact copies": {"kld_mean": pl.lit(0.0), "ln_ppl_ratio": pl.lit(0.0), "ppl_se": pl.lit(0.0)},
    "rounding below zero": {"kld_mean": pl.lit(-1e-9)},
    "zeros": {"ppl": pl.lit(0.0), "inv_ppl_per_mb": pl.lit(0.0), "decode_ms_p50": pl.lit(0.0)},
    "zero efficiency": {"inv_ppl_per_mb": pl.lit(0.0)},
    "only the baseline": {},
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_odd_measurements_never_break_a_page(tmp_path: Path, name: str) -> None:
    folder = make_results(
        tmp_path, methods=("main", "unsloth"), quants=("Q2_K", "Q4_0", "Q6_K", "Q8_0"), windows=4
    )
    path = folder / "variants.parquet"
    frame = pl.read_parquet(path).with_columns(**MUTATIONS[name])
    (frame if MUTATIONS[name] else frame.filter("is_baseline")).write_parquet(path)
    results = Results.open(folder)
    for address in ("/", "/summary", *(f"/{view.id}" for view in registry())):
        page = render(results, address, Selection())
        assert page.title
        if page.figure is not None:
            json.dumps(page.figure, cls=PlotlyJSONEncoder)
