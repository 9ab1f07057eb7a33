"""Charts in a narrow window: they fit its width, with panels below each other, and their texts can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import PLOT, Watched, served, watched
from playwright.sync_api import Browser

SAMPLE = Path(__file__).parents[2] / "sample_results"
PAGES = (
    "/", "/ppl-bits", "/degradation", "/layers", "/layers?measure=hidden", "/speed", "/size", "/confidence",
    "/confidence?share=own", "/confidence?share=baseline", "/delta-logp", "/delta-logp?scale=symlog", "/radar",
    "/radar?form=parallel",
)  # fmt: skip
#: Texts of the chart that are seen: their words, type size, and whether they stick out of the chart's box.
TEXTS = f"""() => {{
    const chart = {PLOT}.getBoundingClientRect();
    return [...{PLOT}.querySelectorAll('text')].filter(text => {{
        const box = text.getBoundingClientRect(), style = getComputedStyle(text);
        return box.width > 0 && style.visibility === 'visible' && style.opacity > 0 && !text.closest('.hoverlayer');
    }}).map(text => {{
        const box = text.getBoundingClientRect();
        return {{words: text.textContent, size: parseFloat(getComputedStyle(text).fontSize),
                 out: Math.max(chart.left - box.left, box.right - chart.right)}};
    }});
}}"""


@pytest.fixture(scope="module")
def small(browser: Browser, full_url: str) -> Iterator[Watched]:
    with watched(browser, full_url, 390, 844) as seen:
        seen.open("/summary")
        yield seen


@pytest.mark.parametrize("path", PAGES)
def test_a_chart_fits_the_width_and_can_be_read(small: Watched, path: str) -> None:
    small.turn(path)
    small.plotted()
    page = small.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(f"(c => c.scrollWidth - c.clientWidth)({PLOT}.closest('.canvas'))") <= 0
    texts: list[dict[str, Any]] = page.evaluate(TEXTS)
    assert texts
    assert [text for text in texts if text["size"] < 9] == []
    assert [text for text in texts if text["out"] > 1] == []


def test_panels_lie_below_each_other_and_side_by_side_again_in_a_wide_window(small: Watched) -> None:
    small.turn("/layers")
    small.plotted()
    places = f"""() => ['yaxis', 'yaxis2'].map(name => {PLOT}._fullLayout[name].domain[1])"""
    first, second = small.page.evaluate(places)
    assert second < first
    small.page.set_viewport_size({"width": 1280, "height": 800})
    small.page.wait_for_function(f"(([first, second]) => first === second)(({places})())")
    small.plotted()
    bar = small.page.locator("#graph .colorbar .cbbg").bounding_box()
    assert bar["height"] > 2 * bar["width"], "the bar of colours stands"
    assert small.page.evaluate(f"{PLOT}._fullLayout._size.w") > 400
    small.page.set_viewport_size({"width": 390, "height": 844})
    small.page.wait_for_function(f"(([first, second]) => first > second)(({places})())")
    small.plotted()
    bar = small.page.locator("#graph .colorbar .cbbg").bounding_box()
    assert bar["width"] > 2 * bar["height"], "the bar of colours lies"
    assert small.complaints == []


#: How far the legend's lower end is from where it belongs, just above the plot, in pixels.
LEGEND_OFF = f"""() => {{
    const plot = {PLOT}, layout = plot._fullLayout, {{t, h}} = layout._size;
    const end = plot.querySelector('.legend').getBoundingClientRect().bottom - plot.getBoundingClientRect().top;
    return Math.abs(end - (t + h * (1 - layout.legend.y)));
}}"""


def test_the_legend_stays_above_the_plot_and_the_chart_takes_its_room_in_a_wide_window(
    browser: Browser,
) -> None:
    with served(SAMPLE) as url, watched(browser, url, 390, 844) as seen:
        seen.open("/speed?method=main&method=guided&method=bartowski")
        seen.plotted()
        assert seen.page.evaluate(LEGEND_OFF) < 2
        seen.page.set_viewport_size({"width": 1500, "height": 844})
        seen.page.wait_for_function(f"{PLOT}._fullLayout._size.w > 600")
        seen.plotted()
        assert seen.page.evaluate(LEGEND_OFF) < 2
        width, height = seen.page.evaluate(f"[{PLOT}._fullLayout.width, {PLOT}._fullLayout.height]")
        seen.page.set_viewport_size({"width": 1490, "height": 844})
        seen.page.wait_for_function(f"{PLOT}.getBoundingClientRect().width < {width} - 1")
        seen.plotted()
        assert abs(seen.page.evaluate(f"{PLOT}._fullLayout.height") - height) < 2


#: Boxes of notes: texts that are neither labels of files nor names of methods; and the plot's left edge.
NOTES = f"""() => {{
    const plot = {PLOT}, layout = plot._fullLayout;
    const left = plot.getBoundingClientRect().left + layout.xaxis._offset;
    return [...plot.querySelectorAll('.annotation')].filter(group => {{
        const note = layout.annotations[group.dataset.index];
        return note.name !== 'label' && !note.captureevents && getComputedStyle(group).visibility === 'visible';
    }}).map(group => {{
        const box = group.querySelector('.annotation-text-g').getBoundingClientRect();
        return {{words: group.textContent, off: left - box.left, box: [box.left, box.top, box.right, box.bottom]}};
    }});
}}"""


@pytest.mark.parametrize("model", ["Qwen2.5-Coder-1.5B-Instruct", "SmolLM2-135M-Instruct"])
def test_notes_of_view_2_are_inside_the_plot_and_apart(browser: Browser, model: str) -> None:
    with served(SAMPLE) as url, watched(browser, url, 390, 844) as seen:
        seen.open(f"/degradation?model={model}")
        seen.plotted()
        notes: list[dict[str, Any]] = seen.page.evaluate(NOTES)
    assert len(notes) == 2, "the noise floor, and the size at which the title compares"
    assert [note["words"] for note in notes if note["off"] > 1] == []
    (left, top, right, bottom), (x0, y0, x1, y1) = (note["box"] for note in notes)
    assert right <= x0 or x1 <= left or bottom <= y0 or y1 <= top


#: Texts of the chart that are seen, with their boxes; those that the title names are bold labels of files.
PLACED = f"""() => {{
    const plot = {PLOT}, boxed = (element, words, bold) => {{
        const box = element.getBoundingClientRect();
        return {{words: words, bold: bold, box: [box.left, box.top, box.right, box.bottom]}};
    }};
    const notes = [...plot.querySelectorAll('.annotation')].filter(
        group => getComputedStyle(group).visibility === 'visible'
    ).map(group => boxed(
        group.querySelector('.annotation-text-g'), group.textContent,
        plot._fullLayout.annotations[group.dataset.index].name === 'label'
            && Boolean(group.querySelector('tspan[style*=bold]')),
    ));
    const axes = [...plot.querySelectorAll('.g-xtitle, .g-ytitle, .g-y2title, .ytick text, .y2tick text')];
    return [...notes, ...axes.map(text => boxed(text, text.textContent, false))];
}}"""


@pytest.fixture(scope="module")
def sampled(browser: Browser) -> Iterator[Watched]:
    with served(SAMPLE) as url, watched(browser, url, 390, 844) as seen:
        seen.open("/summary")
        yield seen


@pytest.mark.parametrize("model", ["Qwen2.5-Coder-1.5B-Instruct", "SmolLM2-135M-Instruct"])
@pytest.mark.parametrize("view", ["degradation", "speed"])
def test_what_the_title_names_is_labelled_and_lies_on_no_text(
    sampled: Watched, view: str, model: str
) -> None:
    sampled.turn(f"/{view}?model={model}")
    sampled.plotted()
    texts: list[dict[str, Any]] = sampled.page.evaluate(PLACED)
    title = sampled.page.locator("#title").inner_text().replace("\u00a0", " ")
    told = [text for text in texts if text["bold"]]
    more = re.search(r"and (\d+) more", title)
    named = title.count(" %") if view == "degradation" else title.count(" tokens/s")
    assert len(told) == named + (int(more[1]) if more else 0)
    for text in told:
        left, top, right, bottom = text["box"]
        for other in texts:
            x0, y0, x1, y1 = other["box"]
            apart = right <= x0 or x1 <= left or bottom <= y0 or y1 <= top
            assert other is text or apart, f"{text['words']} lies on {other['words']}"


def test_the_legend_of_several_models_lies_on_nothing(sampled: Watched) -> None:
    sampled.turn("/?model=Qwen2.5-Coder-1.5B-Instruct&model=SmolLM2-135M-Instruct")
    sampled.plotted()
    entries = [entry.bounding_box() for entry in sampled.page.locator("#graph .legendtext").all()]
    said = sampled.page.locator(".memory-readout").bounding_box()
    assert len(entries) == 2
    assert max(entry["y"] + entry["height"] for entry in entries) <= said["y"] + 1


#: Of texts that belong to a point: their words, and pixels from the point to the text and to the ends of a seen line.
JOINED = f"""() => {{
    const plot = {PLOT}, chart = plot.getBoundingClientRect(), layout = plot._fullLayout;
    const off = ([x, y], box) => Math.hypot(
        Math.max(box.left - x, x - box.right, 0), Math.max(box.top - y, y - box.bottom, 0)
    );
    return [...plot.querySelectorAll('.annotation')].map(group => {{
        const note = layout.annotations[group.dataset.index];
        if (note.xanchor !== 'center' || note.xref !== 'x') return null;
        if (getComputedStyle(group).visibility !== 'visible') return null;
        const box = group.querySelector('.annotation-text-g').getBoundingClientRect();
        const point = [chart.left + layout.xaxis._offset + layout.xaxis.r2p(note.x),
                       chart.top + layout.yaxis._offset + layout.yaxis.r2p(note.y)];
        const line = [...group.querySelectorAll('path')].find(
            path => getComputedStyle(path).visibility === 'visible' && path.getTotalLength() > 1
        );
        const ends = line && [0, line.getTotalLength()].map(at => line.getPointAtLength(at)).map(
            end => [chart.left + end.x, chart.top + end.y]
        );
        const dot = {{left: point[0], right: point[0], top: point[1], bottom: point[1]}};
        return {{
            words: group.textContent,
            moved: Boolean(group.querySelector('.annotation-text-g').style.translate || group.style.translate),
            far: off(point, box),
            line: ends ? [dot, box].map(place => Math.min(...ends.map(end => off(end, place)))) : null,
        }};
    }}).filter(Boolean);
}}"""


def test_a_text_that_gave_way_is_joined_with_its_point(sampled: Watched) -> None:
    away: list[dict[str, Any]] = []
    for path in ("/", "/degradation", "/speed", "/size"):
        sampled.turn(path)
        sampled.plotted()
        texts: list[dict[str, Any]] = sampled.page.evaluate(JOINED)
        away += [text for text in texts if text["moved"] and text["far"] > 25]
    assert away
    for text in away:
        assert text["line"] is not None, f"{text['words']} has no line"
        to_point, to_text = text["line"]
        assert to_point < 15, f"the line of {text['words']} does not begin at its point"
        assert to_text < 8, f"the line of {text['words']} does not end at it"
