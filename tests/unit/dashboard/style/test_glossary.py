"""Words of statistics are found as whole words, once, the longest first."""

from dashboard.style.glossary import TERMS, pieces, used


def marked(text: str, seen: set[str] | None = None) -> list[tuple[str, str]]:
    parts = pieces(text, set() if seen is None else seen)
    return [(part[0], part[1].name) for part in parts if not isinstance(part, str)]


def test_the_longest_word_counts_and_only_its_first_place() -> None:
    text = "Its 95 % bound, a 95 % interval and another 95 % bound; clustered, not clusteredness."
    assert marked(text) == [("95 % bound", "95 % bound"), ("95 %", "95 %"), ("clustered", "clustered")]


def test_other_spellings_have_the_same_meaning() -> None:
    seen: set[str] = set()
    assert marked("Perplexity rises", seen) == [("Perplexity", "perplexity")]
    assert marked("PPL of the baseline / PPL", seen) == []
    assert marked("1/PPL per MB of 45 nats", seen) == [("1/PPL per MB", "1/PPL per MB"), ("nats", "nats")]


def test_parts_of_words_are_not_terms() -> None:
    assert marked("unpaired, donats, 195 %, KLDs") == []


def test_the_pieces_are_the_text() -> None:
    text = "KLD 0.2 ± 0.1 nats; paired, 95 % for all"
    found = pieces(text, set())
    assert "".join(part if isinstance(part, str) else part[0] for part in found) == text
    assert pieces("nothing here", set()) == ["nothing here"]


def test_terms_are_listed_in_the_order_of_the_glossary() -> None:
    assert [term.name for term in used(["nats and KLD", "a perplexity in nats"])] == [
        "perplexity",
        "KLD",
        "nats",
    ]


def test_every_spelling_is_of_one_term_and_every_meaning_a_sentence() -> None:
    spellings = [spelling.lower() for term in TERMS for spelling in (term.name, *term.spellings)]
    assert len(set(spellings)) == len(spellings)
    assert all(term.meaning.endswith(".") and len(term.meaning) < 200 for term in TERMS)
