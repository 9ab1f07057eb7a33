"""The words that the dashboard explains are those of its document."""

from documents import ROOT, table

from dashboard.style.glossary import TERMS

DASHBOARD = ROOT / "docs" / "dashboard.md"


def test_the_words_of_the_document_are_those_of_the_glossary():
    listed = [tuple(row) for row in table(DASHBOARD, "word", "also", "meaning")]
    assert listed == [(term.name, ", ".join(term.spellings), term.meaning) for term in TERMS]
