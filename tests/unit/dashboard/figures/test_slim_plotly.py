"""The slim plotly.js knows every trace that is drawn, serves where it is whole, and fails to be made in one line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs
from results_factory import make_results

from dashboard.export.document import document
from dashboard.export.exhibit import exhibits
from dashboard.export.slide import picture
from dashboard.figures import slim_plotly
from dashboard.figures.charts import message_figure
from dashboard.figures.slim_plotly import TRACES, SlimError, keep, make_slim_file, slim_code, slim_file
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.server.app import create_app
from dashboard.server.serving import PLOTLY
from dashboard.views import View, registry

STAND_IN = b"/* stand-in */ window.Plotly = {};"
PICKS = ((), ("main-q4_0", "unsloth-q8_0"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return Results.open(make_results(tmp_path_factory.mktemp("full"), with_attribution=True))


def kinds(figures: Iterable[go.Figure]) -> set[str]:
    return {trace.type for figure in figures for trace in figure.data}


def selections(view: View) -> list[Selection]:
    chosen = [{option.key: value} for option in view.options for value, _ in option.choices]
    return [Selection.of(picked=picked, options=options) for options in chosen or [{}] for picked in PICKS]


def test_the_traces_are_those_that_are_drawn(results: Results) -> None:
    shown = exhibits(Scope(results, EVERYTHING))
    drawn = kinds(view.figure(Scope(results, chosen)) for view in registry() for chosen in selections(view))
    drawn |= kinds(item.figure for item in shown) | kinds([message_figure("none").checked()])
    slides = [picture(Scope(results, EVERYTHING), item, "light").figure for item in shown]
    drawn |= {trace["type"] for slide in slides for trace in slide["data"]}
    assert drawn == set(TRACES)


def test_another_list_of_traces_is_another_file(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(STAND_IN)
    assert slim_file() is not None
    monkeypatch.setattr(slim_plotly, "TRACES", (*TRACES, "violin"))
    assert slim_file() is None


def test_the_slim_file_is_served_once_it_is_there(one_method: Path) -> None:
    stock = create_app(one_method).server.test_client().get(PLOTLY)
    assert stock.text == get_plotlyjs()
    keep(STAND_IN)
    slim = create_app(one_method).server.test_client().get(PLOTLY)
    assert slim.data == STAND_IN
    assert slim.content_type.startswith("text/javascript")
    assert slim.headers["ETag"] != stock.headers["ETag"]


@pytest.mark.parametrize("harm", ["cut short", "no checksum", "bad checksum"])
def test_a_file_that_is_not_whole_is_left_alone(harm: str, one_method: Path) -> None:
    file = keep(STAND_IN)
    checksum = file.with_name(f"{file.name}.sha256")
    if harm == "cut short":
        file.write_bytes(STAND_IN[:-1])
    elif harm == "no checksum":
        checksum.unlink()
    else:
        checksum.write_bytes(b"\xff\xfe")
    assert slim_file() is None
    assert create_app(one_method).server.test_client().get(PLOTLY).text == get_plotlyjs()


def test_the_page_that_opens_offline_carries_the_slim_file(results: Results) -> None:
    stock = document(Scope(results, EVERYTHING))
    keep(STAND_IN)
    slim = document(Scope(results, EVERYTHING))
    assert STAND_IN.decode() in slim
    assert len(stock) - len(slim) > 0.9 * len(get_plotlyjs())


def test_what_is_made_already_is_not_made_again() -> None:
    file = keep(STAND_IN)
    assert make_slim_file() == file
    assert file.read_bytes() == STAND_IN


def test_plotlys_own_file_is_cut_to_a_third(cache: Path) -> None:
    code = make_slim_file().read_text("utf-8")
    assert make_slim_file().is_relative_to(cache)
    assert len(code) < len(get_plotlyjs()) / 3
    assert set(re.findall(r'moduleType:"trace",name:"(\w+)"', code)) == set(TRACES)
    assert "Copyright" in code[:400], "its terms stay with it"


#: Bundled as plotly.js is: a core, three types of which one hands on, names without exports, and what nobody wants.
BUNDLE = (
    "/* terms */var Plotly=(()=>{var C=(e,t)=>()=>{try{return t||e((t={exports:{}}).exports,t),t.exports}catch(r){}};"
    "var N=(e,t,r)=>()=>{try{return e&&(t=e(e=0)),t}catch(i){}};"
    'var aA=C((x,y)=>{"use strict";y.exports={moduleType:"trace",name:"scatter",h:hH()}});'
    'var hH=C(x=>{"use strict";x.help=1});'
    'var bB=C((x,y)=>{"use strict";y.exports={moduleType:"trace",name:"bar",f:(iI(),fF)}});'
    'var bH=C((x,y)=>{"use strict";y.exports=bB()});'
    'var oO=C((x,y)=>{"use strict";y.exports=1});function fF(){return 2}var iI=N(()=>{fF()});'
    'var pP=C((x,y)=>{"use strict";y.exports={moduleType:"trace",name:"pie",q:qQ()}});'
    'var qQ=C((x,y)=>{"use strict";y.exports="of the pie"});'
    "var rR=C((x,y)=>{var z=aA();z.register([bH(),pP()]);y.exports=z});return rR()})();/* more terms */"
)


def test_what_is_needed_stays_and_nothing_else() -> None:
    code = slim_code(BUNDLE, ("scatter", "bar"))
    assert "z.register([bH()]);" in code
    for needed in (
        "var aA=",
        "var hH=",
        "var bB=",
        "var bH=",
        "function fF",
        "/* terms */",
        "/* more terms */",
    ):
        assert needed in code
    assert "pie" not in code
    assert slim_code(BUNDLE, ("scatter", "bar", "pie")) == BUNDLE


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("var Plotly = {};", "no modules found"),
        (BUNDLE.replace("register", "list"), "no list of trace types found"),
        (BUNDLE.replace("return rR()", "return 1"), "bundled in an unknown way"),
        (BUNDLE.replace('name:"bar"', 'name:"column"'), "lists its trace types in an unknown way"),
        (BUNDLE.replace('name:"scatter"', 'name:"dots"'), "no trace type scatter"),
    ],
)
def test_another_bundle_is_refused(code: str, reason: str) -> None:
    with pytest.raises(SlimError, match=reason):
        slim_code(code, ("scatter", "bar"))


def test_a_cache_that_cannot_be_written_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "file"))
    with pytest.raises(SlimError, match="cannot be written"):
        make_slim_file()
