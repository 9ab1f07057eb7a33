"""What a reader must know comes first, then what decides by its size, then how it was measured."""

from dashboard.insights import Insight
from dashboard.insights.order import by_importance


def test_severity_comes_before_effect_and_effect_before_place() -> None:
    given = [
        Insight("note", "note", effect=9.0),
        Insight("open", "unknown"),
        Insight("first without an effect", "tie"),
        Insight("second without an effect", "finding"),
        Insight("small", "finding", effect=0.1),
        Insight("large", "tie", effect=0.7),
        Insight("broken", "caution"),
    ]
    assert [item.text for item in by_importance(given)] == [
        "broken",
        "large",
        "small",
        "first without an effect",
        "second without an effect",
        "open",
        "note",
    ]
