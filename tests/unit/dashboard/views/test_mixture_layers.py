"""View 3 of a hybrid mixture: experts, routing, and parts that only some layers have."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import pytest
from mixture_results import ATTENTION_ROLES, EXPERT_ROLES, STATE_ROLES, WORST, make_mixture_results
from results_factory import make_results

from dashboard.export.exhibit import exhibit
from dashboard.results.library import Library
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.callbacks import screen
from dashboard.style.roles import named
from dashboard.views import registry

VIEW = next(view for view in registry() if view.id == "layers")
LAYER, ROLE, NUMBER = WORST
OPEN = Selection.of(layers=[LAYER], roles=[ROLE])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mixture_results(tmp_path_factory.mktemp("mixture"), methods=("main", "unsloth"))


@pytest.fixture(scope="module")
def mixture(folder: Path) -> Results:
    return Results.open(folder)


def heatmaps(figure: go.Figure) -> list[go.Heatmap]:
    return [trace for trace in figure.data if trace.type == "heatmap"]


def measure(key: str) -> Selection:
    return Selection.of(options={"measure": key})


def offered(folder: Path) -> list[str]:
    options = screen(Library([folder]), "/layers", "", {})["options"]
    return [choice.children for choice in options[0].children[1].children]


def test_only_roles_of_the_model_are_rows_and_layers_without_one_stay_empty(mixture: Results) -> None:
    drawn = VIEW.figure(Scope(mixture, EVERYTHING))
    (first, *_) = heatmaps(drawn)
    assert {*ATTENTION_ROLES, *STATE_ROLES, *EXPERT_ROLES} < set(first.y)
    assert "shortconv.in_proj" not in first.y
    row = dict(zip(first.x, first.z[list(first.y).index("attn_q")], strict=True))
    assert [layer for layer, value in row.items() if value is not None] == [3, 7]
    lines = [trace for trace in drawn.data if trace.type == "scatter"]
    assert len(lines) == len(heatmaps(drawn))
    assert not [trace for trace in drawn.data if trace.type == "bar"], "nothing that is there was left out"


def test_a_crowd_of_roles_gets_one_row_of_panels(tmp_path: Path) -> None:
    methods = ("a", "b", "c", "d", "e")
    results = Results.open(make_mixture_results(tmp_path, methods=methods))
    assert len(heatmaps(VIEW.figure(Scope(results, EVERYTHING)))) == 3


@pytest.mark.parametrize("options", [{}, {"measure": "weight"}])
def test_a_cell_of_experts_opens_them(mixture: Results, options: dict[str, str]) -> None:
    scope = Scope(mixture, Selection.of(layers=[LAYER], roles=[ROLE], options=options))
    assert VIEW.headline(scope).startswith(
        f"main Q8_0: expert {NUMBER} of {ROLE} in layer {LAYER} is hit hardest"
    )
    drawn = VIEW.figure(scope)
    assert [trace.text[0][LAYER - 1] for trace in heatmaps(drawn)] == [NUMBER, NUMBER]
    assert VIEW.insights(scope)[0].text.count(f"worst expert {NUMBER}: ") == 2
    assert VIEW.insights(scope)[1:] == VIEW.insights(Scope(mixture, Selection.of(options=options)))


def test_an_attribution_opens_the_experts_too(tmp_path: Path) -> None:
    path = make_mixture_results(tmp_path) / "layers.parquet"
    pl.read_parquet(path).with_columns(attribution_kld=pl.col("weight_error")).write_parquet(path)
    scope = Scope(Results.open(tmp_path), OPEN)
    assert f": expert {NUMBER} of {ROLE} in layer {LAYER} is hit hardest" in VIEW.headline(scope)
    assert heatmaps(VIEW.figure(scope))[0].meta["role"] == ROLE


def test_an_export_shows_the_open_experts_and_does_not_speak_of_clicks(mixture: Results) -> None:
    shown = exhibit(Scope(mixture, OPEN), VIEW)
    assert heatmaps(shown.figure)[0].meta["role"] == ROLE
    assert "the worst on top" in shown.caption
    assert "lick" not in shown.caption
    assert "Click a cell of experts" in VIEW.captioned(Scope(mixture, EVERYTHING))


def test_the_data_of_open_experts_are_their_errors(mixture: Results) -> None:
    frame = VIEW.data(Scope(mixture, OPEN))
    assert frame["expert_errors"].list.len().to_list() == [16] * 4


def test_routing_is_measured_in_layers_with_experts(mixture: Results) -> None:
    scope = Scope(mixture, measure("routing"))
    (strips,) = heatmaps(VIEW.figure(scope))
    assert list(strips.x) == list(range(8))
    assert [line[0] for line in strips.z] == [None] * 4, "layer 0 has no experts"
    assert strips.customdata[0][0][3] == "no experts in this layer"
    layers = mixture.layers()
    assert layers is not None
    share = f"{100 * max(layers['routing_changed'].drop_nulls()):.3g} %"
    assert strips.customdata[-1][0][0].endswith("q8_0")
    most = f"main Q4_0 changes routing most in layer 7: {share} of the sampled tokens get other experts"
    assert VIEW.headline(scope) == most
    assert "Other experts: share of" in VIEW.captioned(scope)
    routers = VIEW.figure(Scope(mixture, measure("routers")))
    assert routers.layout.coloraxis.colorbar.title.text == "divergence of the router (nats)"


def test_a_frame_of_experts_does_not_open_them_where_layers_are_shown(mixture: Results) -> None:
    scope = Scope(mixture, Selection.of(roles=[ROLE], options={"measure": "hidden"}))
    assert heatmaps(VIEW.figure(scope))[0].meta is None


def test_measures_of_routing_are_offered_where_there_are_some(folder: Path, tmp_path: Path) -> None:
    assert offered(folder)[-2:] == ["other experts", "router KLD"]
    dense = make_results(tmp_path, methods=("main",), windows=4)
    assert offered(dense)[-1] == "attribution"
    scope = Scope(Results.open(dense), measure("routing"))
    assert heatmaps(VIEW.figure(scope))[0].z[0], "a link from a folder with experts shows the default"
    chosen = screen(Library([dense]), "/layers", "?measure=routing", {})["options"][0].children[1].children
    assert [choice.children for choice in chosen if "chosen" in choice.className] == ["most telling"]


def test_a_folder_from_before_experts_were_measured_frames_the_cell(tmp_path: Path) -> None:
    path = make_mixture_results(tmp_path) / "layers.parquet"
    pl.read_parquet(path).drop("expert_errors", "routing_changed", "routing_kld").write_parquet(path)
    scope = Scope(Results.open(tmp_path), OPEN)
    assert VIEW.headline(scope).lower().startswith(f"{named(ROLE)} in layer {LAYER}: ")
    frames = [shape for shape in VIEW.figure(scope).layout.shapes if shape.type == "rect"]
    assert len(frames) == 2 * len(heatmaps(VIEW.figure(scope))), "a frame, and an outline of the told cell"
    assert "Click a cell of experts" not in VIEW.captioned(scope)
