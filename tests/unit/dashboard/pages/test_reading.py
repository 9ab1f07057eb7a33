"""A panel shows three insights and folds the others; a board of claims is a count and a line per claim."""

from typing import Any

from dash.development.base_component import Component

from dashboard.insights import Claim, Insight
from dashboard.pages.claims import board, whole_board
from dashboard.pages.parts import insight_panel
from dashboard.pages.terms import explained, word_list
from dashboard.style.glossary import TERMS

CLAIMS = [
    Claim("Below 3 bits it breaks.", "untestable", "Missing: a file of less than 3 bits per weight."),
    Claim("a is steady.", "holds", "Paired over tokens, 0.1 nats."),
    Claim("b is small.", "fails", "0.2 nats, paired."),
]


def parts(component: Any, kind: str) -> list[Component]:
    """Return all components of a type inside, and the component itself."""
    every = component if isinstance(component, list) else [component]
    found = [item for one in every if isinstance(one, Component) for item in [one, *one._traverse()]]
    return [item for item in found if type(item).__name__ == kind]


def text(component: Any) -> str:
    """Return the text inside."""
    if isinstance(component, str):
        return component
    if isinstance(component, list):
        return "".join(map(text, component))
    return text(getattr(component, "children", None) or "")


def test_three_insights_are_shown_and_the_others_folded() -> None:
    panel = insight_panel([Insight(f"insight {n}") for n in range(6)] + [Insight("broken", "caution")])
    shown, folded = panel
    assert [text(item) for item in parts(shown, "Li")] == ["!broken", "●insight 0", "●insight 1"]
    assert text(parts(folded, "Summary")[0]) == "4 more"
    assert len(parts(folded, "Li")) == 4


def test_nothing_is_folded_of_three() -> None:
    assert parts(insight_panel([Insight("a"), Insight("b"), Insight("c")]), "Details") == []


def test_a_word_is_explained_once_among_sentences_and_once_among_numbers() -> None:
    panel = insight_panel(
        [Insight("KLD falls", detail="in nats"), Insight("KLD rises", detail="KLD in nats")]
    )
    assert [text(word) for word in parts(panel, "Dfn")] == ["KLD", "nats", "KLD"]
    (word,) = parts(explained("12 nats", set()), "Dfn")
    assert word.tabIndex == 0
    assert getattr(word, "data-meaning") == next(term.meaning for term in TERMS if term.name == "nats")


def test_words_of_a_page_are_listed_folded() -> None:
    assert word_list([]) == []
    assert text(word_list(TERMS[:2])).startswith(f"Words on this page{TERMS[0].name}{TERMS[0].meaning}")


def test_a_board_counts_and_each_line_unfolds_to_its_evidence() -> None:
    shown = board(CLAIMS)
    assert text(shown[1]) == "1 holds, 1 does not, 1 cannot be tested here."
    lines = [item for item in parts(shown, "Details") if "claim-" in item.className]
    assert [text(line) for line in lines] == [
        "✓holds: a is steady.Paired over tokens, 0.1 nats.",
        "✗does not hold: b is small.0.2 nats, paired.",
        "–cannot be tested here: Below 3 bits it breaks.Missing: a file of less than 3 bits per weight.",
    ]
    (apart,) = [item for item in parts(shown, "Details") if "fold" in item.className]
    assert text(apart).startswith("1 cannot be tested here")
    assert "Missing: a file of less than 3 bits" in parts(apart, "Summary")[0].title
    assert [line.open for line in lines] == [False, False, True], "the reason is seen once the fold is open"
    assert [text(word) for word in parts(shown, "Dfn")] == ["Paired", "nats", "bits per weight"]
    assert board([]) == []


def test_a_board_of_few_tokens_is_provisional() -> None:
    assert text(board(CLAIMS, "only 90 tokens")[1]).startswith("Provisional: 1 holds")
    assert "Provisional: 1 holds" in text(whole_board([("size", CLAIMS)], "only 90 tokens"))


def test_the_whole_board_counts_all_views_and_each() -> None:
    shown = whole_board([("summary", CLAIMS[:1]), ("size", CLAIMS), ("ppl-bits", CLAIMS[1:])])
    assert text(shown[0]).startswith("2 hold, 2 do not, 2 cannot be tested here.")
    heads = [text(head) for head in parts(shown, "H3")]
    assert heads == [
        "1 · PPL · bits 1 holds, 1 does not",
        "5 · Size 1 holds, 1 does not, 1 cannot be tested here",
        "Summary 1 cannot be tested here",
    ]
