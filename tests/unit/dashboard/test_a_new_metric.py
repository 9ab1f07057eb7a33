"""A metric is one file: the one that the docs give as an example is shown everywhere without another edit."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from results_factory import make_results

ROOT = Path(__file__).parents[3]
#: Runs with the example beside the families, and tells where its column is shown.
SHOWN = """
import json, sys
from pathlib import Path
import evaluator.metrics.families as families
families.__path__.append(sys.argv[1])
from dashboard.figures.scores import axes
from dashboard.insights.compared_pair import chosen
from dashboard.insights.comparing import differences
from dashboard.pages import explore
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.shell.render import render
from dashboard.views import registry
from evaluator.metrics.columns_table import table
from evaluator.results.schema import Confidence, Domains, Variants

scope = Scope(Results.open(Path(sys.argv[2])))
views = {view.id: view for view in registry()}
pair = chosen(Scope(scope.results, Selection.of(options={"a": "main-q2_k", "b": "main-q8_0"})))
axis = next(axis for axis in axes(scope) if axis.name == "few surprises")
row = next(row for row in scope.rows if row["variant_id"] == "main-q2_k")
drawn = [
    render(scope.results, "/radar", Selection.of(options={"form": form})) for form in ("radar", "parallel")
]
print(json.dumps({
    "schemas": ["surprise" in schema.columns() for schema in (Variants, Domains, Confidence)],
    "explore": [group for group in explore.body(scope).children[1].columnDefs if group["headerName"] == "Surprise"],
    "compare": [vars(item) for item in differences(scope, *pair) if item.column == "surprise"],
    "axis": [axis.score(row), axis.raw(row), axis.reference],
    "drawn": ["few surprises" in f"{page.figure} {page.caption}" for page in drawn],
    "exported": dict(views["radar"].data(scope).select("variant_id", "surprise").iter_rows()),
    "filtered": dict(scope.narrowed(domains=frozenset(scope.results.domains)).frame.select(
        "variant_id", "surprise").iter_rows()),
    "docs": [line for line in table().splitlines() if line.startswith("| `surprise` ")],
    "insights": [item.text for item in views["radar"].insights(
        Scope(scope.results, Selection.of(options={"form": "parallel"})))],
}))
"""


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A results folder with the column of the example, and its values counted in the token files."""
    folder = make_results(tmp_path_factory.mktemp("new-metric"), methods=("main",), windows=8)
    path = folder / "variants.parquet"
    frame = pl.read_parquet(path)
    counted = {
        name: (pl.read_parquet(folder / "tokens" / f"{name}.parquet")["nll"].cast(pl.Float64) > 10).mean()
        for name in frame["variant_id"]
    }
    frame.with_columns(surprise=pl.col("variant_id").replace_strict(counted)).write_parquet(path)
    return folder, counted


@pytest.fixture(scope="module")
def shown(shares: tuple[Path, dict[str, float]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Where the example of the docs is shown."""
    recipe = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Add a metric")[1]
    example = re.search(r"```python\n(.*?)```", recipe, re.DOTALL)
    assert example is not None
    beside = tmp_path_factory.mktemp("families")
    (beside / "surprise.py").write_text(example[1], encoding="utf-8")
    command = [sys.executable, "-c", SHOWN, str(beside), str(shares[0])]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_the_schemas_have_it(shown: dict[str, Any]) -> None:
    assert shown["schemas"] == [True, True, True]


def test_explore_has_a_group_of_it(shown: dict[str, Any]) -> None:
    (group,) = shown["explore"]
    (column,) = group["children"]
    assert column["headerName"] == "Costly tokens"
    assert column["headerTooltip"].endswith("10 nats, a share of 1, lower is better")


def test_compare_pairs_it_token_by_token(
    shown: dict[str, Any], shares: tuple[Path, dict[str, float]]
) -> None:
    (row,) = shown["compare"]
    worse, better = (shares[1][name] for name in ("main-q2_k", "main-q8_0"))
    assert row["metric"] == "Costly tokens"
    assert row["values"] == [f"{100 * worse:.1f} %", f"{100 * better:.1f} %"]
    assert float(row["difference"].split(" ±")[0].replace("−", "-")) == pytest.approx(
        100 * (worse - better), rel=0.05
    )
    assert row["difference"].endswith(" points")
    assert row["verdict"] in {"B better", "tied"}


def test_the_radar_has_an_axis_of_it(shown: dict[str, Any], shares: tuple[Path, dict[str, float]]) -> None:
    costly = shares[1]["main-q2_k"]
    assert shown["axis"] == [pytest.approx(1 - costly), f"{100 * costly:.1f} %", "no costly token = 100 %"]
    assert shown["drawn"] == [True, True], "as an axis, or named as one on which the files are level"
    assert any("few surprises" in text for text in shown["insights"]), "it has a leader or nobody leads"


def test_exports_and_filters_of_tokens_have_it(
    shown: dict[str, Any], shares: tuple[Path, dict[str, float]]
) -> None:
    assert shown["exported"] == pytest.approx(shares[1])
    assert shown["filtered"] == pytest.approx({k: v for k, v in shares[1].items() if k.startswith("main")})


def test_the_table_of_the_docs_has_it(shown: dict[str, Any]) -> None:
    (line,) = shown["docs"]
    assert line.endswith("| 0–1 | lower | `surprise_se` | by `costly` |")
