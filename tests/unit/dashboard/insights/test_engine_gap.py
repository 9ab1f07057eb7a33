"""What packing for speed adds, beside each file's own loss."""

import polars as pl
import pytest
from results_factory import make_results
from variant_rows import row

from dashboard.export.markdown import report
from dashboard.insights.comparing import differences
from dashboard.insights.engine_gap import gap_insight, packing_adds
from dashboard.pages import compare, explore, overview
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.views import registry

SPEED = next(view for view in registry() if view.id == "speed")
#: A loss of 0.001 and a gap of 0.0023: packing adds 2.3 times the file's own loss.
FINE = row("a", "Q8", 8, 0.001, kld_mean=0.001, deploy_kld_mean=0.0023, decode_ms_p50=10.0)
COARSE = row("a", "Q2", 3, 0.5, kld_mean=0.5, deploy_kld_mean=0.01, decode_ms_p50=8.0)
UNKNOWN = row("b", "Q8", 8, 0.001, decode_ms_p50=9.0)


def test_a_gap_in_words() -> None:
    assert "adds 0.0023 nats, 2.3 × the file's own loss" in packing_adds(FINE, EVERYTHING)
    assert packing_adds(COARSE, EVERYTHING).endswith("adds 0.010 nats")
    assert packing_adds(UNKNOWN, EVERYTHING).endswith(": not measured")
    assert packing_adds(UNKNOWN, Selection.of(bins=[0])).endswith(": known over all tokens only")


def test_a_gap_larger_than_the_loss_is_a_caution() -> None:
    found = gap_insight([FINE, COARSE, UNKNOWN], EVERYTHING)
    assert found is not None
    assert found.kind == "caution"
    assert found.text.endswith("than the file's own loss: a Q8 (0.0023 on top of 0.0010 nats).")
    assert found.detail.endswith("not measured for 1 of 3 files")


def test_smaller_unknown_and_absent_gaps() -> None:
    smaller = gap_insight([COARSE], EVERYTHING)
    assert smaller is not None
    assert smaller.kind == "finding"
    assert "at most a Q2 (0.010 on top of 0.50 nats)" in smaller.text
    unknown = gap_insight([UNKNOWN], EVERYTHING)
    assert unknown is not None
    assert unknown.text == "The loss added by packing for speed is not measured."
    assert gap_insight([UNKNOWN | {"run_decode_ms_p50": None}], EVERYTHING) is None


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """All variants but one with a gap of 0.004 nats."""
    folder = make_results(tmp_path_factory.mktemp("gaps"), methods=("bartowski", "main"))
    path = folder / "variants.parquet"
    known = ~pl.col("is_baseline") & (pl.col("variant_id") != "main-q8_0")
    pl.read_parquet(path).with_columns(
        pl.when(known).then(0.004).otherwise(None).alias("deploy_kld_mean")
    ).write_parquet(path)
    return Results.open(folder)


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_the_speed_view_draws_the_loss_after_packing(gaps: Results, phase: str) -> None:
    # Of many files, only some have such lines.
    scope = Scope(gaps, Selection.of(methods=["main"], options={"phase": phase}))
    drawn = SPEED.figure(scope)
    rows = [item for item in scope.rows if item["deploy_kld_mean"] is not None]
    rates = [1000 / item["decode_ms_p50"] if phase == "decode" else item["prefill_tps"] for item in rows]
    losses = [item["kld_mean"] for item in rows]
    expected = {(rate, loss + 0.004, loss) for rate, loss in zip(rates, losses, strict=True)}
    lines = [trace for trace in drawn.data if trace.hoverinfo == "skip" and trace.mode == "lines+markers"]
    found = {
        (trace.x[index], trace.y[index], trace.y[index + 1])
        for trace in lines
        for index in range(0, len(trace.x), 3)
    }
    assert found == expected
    assert "after packing" in {trace.name for trace in drawn.data}
    low, high = drawn.layout.yaxis.range
    assert all(10**low <= end <= 10**high for _, *ends in expected for end in ends)
    hover = " ".join(text for trace in drawn.data for text in trace.hovertext or ())
    assert "packing adds 0.0040 nats to the file's own loss" in hover
    assert "loss added by packing: not measured" in hover


def test_only_picked_variants_keep_their_line(gaps: Results) -> None:
    drawn = SPEED.figure(Scope(gaps, Selection.of(picked=["main-q2_k"])))
    (line,) = (trace for trace in drawn.data if trace.hoverinfo == "skip" and trace.mode == "lines+markers")
    assert len(line.x) == 3


def test_pages_where_people_choose_tell_the_gap(gaps: Results) -> None:
    assert "adds 0.0040 nats" in str(overview.beside(Scope(gaps, EVERYTHING)))
    assert "adds 0.0040 nats" in str(overview.beside(Scope(gaps, Selection.of(options={"gb": "120 MB"}))))
    assert any(
        item.text.startswith("Packing for speed adds more")
        for item in overview.insights(Scope(gaps, EVERYTHING))
    )
    size = next(view for view in registry() if view.id == "size")
    assert any(
        item.text.startswith("Packing for speed adds more") for item in size.insights(Scope(gaps, EVERYTHING))
    )
    grid = str(explore.body(Scope(gaps, EVERYTHING)))
    assert "loss that packing into ONNX, the form that is timed, adds" in grid
    pair = Selection.of(options={"a": "bartowski-q8_0", "b": "main-q8_0"})
    assert any(item.text.startswith("Packing for speed adds") for item in compare.insights(Scope(gaps, pair)))


def test_exports_hold_the_gap(gaps: Results) -> None:
    frame = SPEED.data(Scope(gaps, EVERYTHING))
    assert frame.filter(variant_id="main-q2_k")["deploy_kld_mean"].to_list() == [0.004]
    table = report(Scope(gaps, EVERYTHING)).splitlines()
    (line,) = (line for line in table if line.startswith("| main Q2\\_K |"))
    assert line.endswith("| 0.00400 |")


def test_compare_has_a_line_for_the_gap(gaps: Results) -> None:
    rows = {item["variant_id"]: item for item in gaps.measured.to_dicts()}
    found = differences(Scope(gaps), rows["bartowski-q8_0"], rows["main-q8_0"])
    (line,) = (item for item in found if item.metric == "KLD that packing for speed adds")
    assert line.values == ("0.00400 nats more", "not measured")
