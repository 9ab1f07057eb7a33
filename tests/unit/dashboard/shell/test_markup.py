"""Components as HTML: what React would make of them, without what only React can do."""

from html.parser import HTMLParser

import dash_ag_grid as dag
import dash_bootstrap_components as dbc
import pytest
from dash import dcc, html

from dashboard.shell.answer_targets import TARGETS, fill
from dashboard.shell.layout import shell
from dashboard.shell.markup import markup


def test_elements_with_their_attributes() -> None:
    link = html.A(["see ", html.B(3)], href="/x?a=1&b=2", className="tool", tabIndex=-1, **{"data-nav": "1"})
    written = str(markup(link))
    assert written.startswith("<a ")
    assert written.endswith(">see <b>3</b></a>")
    attributes = set(written[3 : written.index(">")].split())
    assert attributes == {'href="/x?a=1&amp;b=2"', 'class="tool"', 'tabindex="-1"', 'data-nav="1"'}


def test_styles_and_switches() -> None:
    box = html.Div(style={"backgroundColor": "red", "width": "3px"}, hidden=True)
    assert 'style="background-color: red; width: 3px"' in markup(box)
    assert " hidden" in markup(box)
    assert "hidden" not in markup(html.Div(hidden=False))
    assert markup(html.Br()) == "<br>"


def test_nothing_refers_to_an_element_that_will_come_twice() -> None:
    label = html.Label("Name", htmlFor="name", id="label", **{"aria-describedby": "hint"})
    assert markup(label) == "<label>Name</label>"


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a & b", '"quoted"'])
def test_texts_stay_texts(text: str) -> None:
    class Reader(HTMLParser):
        seen = ""
        tags = 0
        title: str | None = None

        def handle_starttag(self, _tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.tags += 1
            self.title = dict(attributes)["title"]

        def handle_data(self, data: str) -> None:
            self.seen += data

    reader = Reader()
    reader.feed(str(markup(html.P(text, title=text))))
    assert (reader.seen, reader.tags, reader.title) == (text, 1, text)


def test_controls() -> None:
    options = [{"label": html.B("A"), "value": "a"}, {"label": "B", "value": "b"}]
    ticks = str(markup(dbc.Checklist(options=options, value=["b"], className="chips")))
    assert ticks.count("form-check-input") == 2
    assert ticks.count("checked") == 1
    assert ticks.index("<b>A</b>") < ticks.index("checked")
    assert "<option>B</option>" in markup(dbc.Select(options=options, value="b"))
    assert 'placeholder="any"' in markup(dbc.Input(placeholder="any"))
    assert 'class="dash-input-element"' in markup(dcc.Input(className="find", type="text"))


def test_what_needs_a_script_leaves_its_place_empty() -> None:
    assert (
        markup(html.Div([dag.AgGrid(rowData=[{"a": 1}]), dcc.Store(id="x", data="secret")])) == "<div></div>"
    )


def test_every_part_of_an_answer_has_a_place() -> None:
    page = fill(shell(), {name: f"part {name}" for name in TARGETS})
    assert page["title"].children == "part title"
    assert page["filter-bits"].min == "part bits-min"
