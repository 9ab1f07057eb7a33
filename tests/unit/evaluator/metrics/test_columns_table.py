"""docs/columns.md is up to date with the metric families."""

from pathlib import Path

from evaluator.metrics.columns_table import table
from evaluator.results.schema import Variants

DOCUMENT = Path(__file__).parents[4] / "docs" / "columns.md"


def test_the_document_is_what_the_families_say() -> None:
    command = "python -m evaluator.metrics.columns_table > docs/columns.md"
    assert DOCUMENT.read_text(encoding="utf-8") == table(), f"a family has changed: {command}"


def test_every_column_of_numbers_is_in_it() -> None:
    numbers = [name for name, column in Variants.columns().items() if column.dtype.is_numeric()]
    assert [name for name in numbers if f"`{name}`" not in table()] == []
    assert "| `kld_p999` | KLD p99.9 | the KLD that 99.9 % of tokens stay below | nats |" in table()
