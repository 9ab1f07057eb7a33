"""The table of everything: groups, headings, tooltips and texts follow the metric families."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from results_factory import make_results

from dashboard.pages import explore
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.views import option_keys
from evaluator.metrics import columns_of, metric_families


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The table of a folder with two columns that no family knows."""
    folder = make_results(
        tmp_path_factory.mktemp("explore"), methods=("main",), quants=("Q4_0", "Q8_0"), windows=4
    )
    path = folder / "variants.parquet"
    pl.read_parquet(path).with_columns(perceived=pl.lit(0.123456789), note=pl.lit("ours")).write_parquet(path)
    return explore.body(Scope(Results.open(folder))).children[1]


def groups(grid: Any) -> dict[str, list[dict[str, Any]]]:
    return {group["headerName"]: group["children"] for group in grid.columnDefs[1:]}


def test_groups_are_the_families_in_their_order(grid: Any) -> None:
    titles = [family.title for family in metric_families()]
    shown = list(groups(grid))
    assert shown[-1] == "More"
    assert shown[:-1] == [title for title in titles if title in shown]
    assert [column["field"] for column in groups(grid)["Efficiency"]] == ["inv_ppl_per_mb"]


def test_headings_are_labels_and_tooltips_tell_the_rest(grid: Any) -> None:
    kld = next(column for column in groups(grid)["Divergence"] if column["field"] == "kld_mean")
    assert kld["headerName"] == "Mean KLD"
    assert kld["headerTooltip"] == (
        "kld_mean: mean KL divergence from the baseline over the whole vocabulary, nats, lower is better"
    )


def test_a_folded_group_shows_its_main_columns_first(grid: Any) -> None:
    for children in groups(grid).values():
        folded = [column["field"] for column in children if "columnGroupShow" not in column]
        assert folded
        assert [column["field"] for column in children[: len(folded)]] == folded
    main = {name for name, column in columns_of().items() if column.main}
    divergence = groups(grid)["Divergence"]
    assert [c["field"] for c in divergence if "columnGroupShow" not in c] == ["kld_mean", "kld_p990"]
    assert {"kld_mean", "kld_p990"} <= main


def test_shares_sizes_and_counts_are_sent_as_they_are_written(grid: Any) -> None:
    row = next(row for row in grid.rowData if row["quant"] == "Q8_0")
    formatters = {
        column["field"]: column["valueFormatter"]["function"]
        for children in groups(grid).values()
        for column in children
        if "valueFormatter" in column
    }
    places = {
        name: int(formatter.split("[")[1][:-1])
        for name, formatter in formatters.items()
        if formatter.startswith("params.data.written[")
    }
    written = {name: row["written"][place] for name, place in places.items()}
    assert written["size_bytes"] == f"{row['size_bytes'] / 1e6:.1f} MB"
    assert written["same_top"] == f"{100 * row['same_top']:.2f} %"
    assert written["n_tokens"] == f"{row['n_tokens']:,}"
    known = columns_of()
    units = {known[name].unit for name in formatters if name in known and name not in written}
    assert units.isdisjoint({"share", "bytes", "count"})
    assert all("d3.format" in formatters[name] for name in ("ppl", "kld_mean", "perceived"))


def test_unknown_columns_stand_under_more(grid: Any) -> None:
    more = {column["field"]: column for column in groups(grid)["More"]}
    assert set(more) == {"perceived", "note"}
    assert more["perceived"]["headerName"] == "perceived"


def test_chosen_columns_are_the_tables_and_the_menu_says_which(three_methods: Any) -> None:
    results = Results.open(three_methods)
    names = ["kld_mean", "ppl", "quant", "nothing_of_this"]
    query = Selection.from_query("?columns=" + ".".join(names), option_keys())
    tools, grid = explore.body(Scope(results, query)).children
    assert sorted(c["field"] for _, columns in groups(grid).items() for c in columns) == sorted(names[:3])
    assert not any("columnGroupShow" in c for columns in groups(grid).values() for c in columns)
    menu = next(part for part in tools.children if getattr(part, "id", "") == "columns-menu")
    choices = [
        part for part in menu.children[1].children if getattr(part, "className", "") == "column-choices"
    ]
    buttons = [vars(button) for part in choices for button in part.children]
    pressed = {button["data-column"]: button["aria-pressed"] for button in buttons}
    assert {name for name, is_shown in pressed.items() if is_shown == "true"} == set(names[:3])
    usual = explore.body(Scope(results)).children[1]
    assert {c["field"] for columns in groups(usual).values() for c in columns} == set(pressed)
    assert Selection.from_query(f"?{query.to_query()}", option_keys()) == query


def test_one_variant_is_no_plural(three_methods: Path) -> None:
    results = Results.open(three_methods)
    assert explore.headline(Scope(results, Selection.of(only=["main-q2_k"]))).startswith("1 variant, ")
    assert explore.headline(Scope(results)).startswith(f"{results.measured.height} variants, ")
