"""Links, files and names in the documents exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import DOCUMENTS, ROOT, anchors, links, spans

from evaluator.results.schema import Variants

#: Folders whose files are named by their full path.
TREES = ("dashboard/", "evaluator/", "tests/", "docs/", "assets/", ".ci/")
#: Placeholders for names.
PLACEHOLDER = re.compile(r"NAME|<\w+>|…")
NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
#: Names of other programs.
FOREIGN = {"CUDA_VISIBLE_DEVICES"}
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def sources() -> list[Path]:
    """Return every file that may contain a name of the code."""
    found = [ROOT / "Makefile", ROOT / "pyproject.toml", *(ROOT / "assets").rglob("*.*")]
    for tree in ("dashboard", "evaluator", "tests"):
        found += [path for kind in ("*.py", "*.toml", "*.json") for path in (ROOT / tree).rglob(kind)]
    return [path for path in found if path.parent != Path(__file__).parent]


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Return every word of the code, and every column, because some column names are composed there."""
    text = " ".join(path.read_text(encoding="utf-8", errors="ignore") for path in sources())
    return {*re.findall(r"\w+", text), *Variants.columns()}


@EACH
def test_links_resolve(document):
    for link in links(document):
        if link.startswith(("http:", "https:")):
            continue
        target, _, anchor = link.partition("#")
        path = (document.parent / target) if target else document
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path), link


@EACH
def test_paths_exist(document):
    files = [str(path.relative_to(ROOT)) for path in sources()]
    for span in spans(document):
        if PLACEHOLDER.search(span) or " " in span:
            continue
        if span.startswith(TREES):
            assert (ROOT / span).exists(), span
        elif re.fullmatch(r"[\w./-]+/[\w.-]+\.(?:py|js|toml)", span):
            assert any(file.endswith(f"/{span}") for file in files), span


@EACH
def test_names_stand_in_the_code(document, words):
    """Find names that were renamed in the code but not in the documents."""
    for span in spans(document):
        if NAME.fullmatch(span) and span not in FOREIGN and "/" not in span:
            assert set(span.split(".")) <= words | {"com"}, span


@EACH
def test_documents_are_reached_from_the_readme(document):
    reached, new = set(), {ROOT / "README.md"}
    while new:
        reached |= new
        targets = {(page.parent / link.partition("#")[0]).resolve() for page in new for link in links(page)}
        new = {path for path in targets if path.suffix == ".md"} - reached
    assert document in reached
