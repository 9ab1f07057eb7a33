"""View 4 with the many files of the sample folder: the labels that decide are seen, and none lies on another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from driving import PLOT, Watched, served, watched
from playwright.sync_api import Browser

SAMPLE = Path(__file__).parents[2] / "sample_results"
MODEL = "SmolLM2-135M-Instruct"
#: Texts of annotations that are seen, with their boxes and, of labels of files, their points.
SEEN = f"""() => [...{PLOT}.querySelectorAll('.annotation')].map(group => {{
    const text = group.querySelector('.annotation-text-g'), box = text.getBoundingClientRect();
    const note = {PLOT}._fullLayout.annotations[group.dataset.index];
    return {{words: text.textContent, visible: getComputedStyle(group).visibility === 'visible',
             label: note.name === 'label', x: note.x, y: note.y,
             box: [box.left, box.top, box.right, box.bottom]}};
}}).filter(text => text.visible)"""


@pytest.fixture(scope="module")
def wide(browser: Browser) -> Iterator[Watched]:
    with served(SAMPLE) as url, watched(browser, url, 1500, 900) as seen:
        seen.open(f"/summary?model={MODEL}")
        yield seen


def front(rows: list[dict[str, Any]], column: str) -> set[str]:
    """Ids of the files that no other beats in both."""
    return {
        row["variant_id"]
        for row in rows
        if not any(
            other[column] <= row[column]
            and other["kld_mean"] <= row["kld_mean"]
            and (other[column], other["kld_mean"]) != (row[column], row["kld_mean"])
            for other in rows
        )
    }


@pytest.mark.parametrize("more", ["", "&engines=both", "&engine=onnxruntime"])
def test_no_label_lies_on_another_and_the_front_and_the_title_s_file_are_labelled(
    wide: Watched, more: str
) -> None:
    frame = pl.read_parquet(SAMPLE / "variants.parquet").filter(
        pl.col("model") == MODEL, ~pl.col("is_baseline")
    )
    rows, column = frame.to_dicts(), "decode_ms_p50" if "onnx" in more else "llamacpp_decode_ms_p50"
    assert len(rows) == 34
    wide.turn(f"/speed?model={MODEL}{more}")
    wide.plotted()
    texts = wide.page.evaluate(SEEN)
    title = wide.page.locator("#title").inner_text()
    for one, other in itertools.combinations(texts, 2):
        (left, top, right, bottom), (x0, y0, x1, y1) = one["box"], other["box"]
        apart = right <= x0 or x1 <= left or bottom <= y0 or y1 <= top
        assert apart, f"{one['words']} lies on {other['words']}"
    places = [(text["x"], 10 ** text["y"]) for text in texts if text["label"]]
    labelled = {
        row["variant_id"]
        for row in rows
        if any((1000 / row[column], row["kld_mean"]) == pytest.approx(place) for place in places)
    }
    named = {row["variant_id"] for row in rows if f"{row['method']} {row['quant']}" in title}
    assert named
    assert labelled == front(rows, column) | named
