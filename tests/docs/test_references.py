"""What the documents point at is there: links, files, and names of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import DOCUMENTS, ROOT, anchors, links, spans

from evaluator.results.schema import Variants

#: Folders whose files are named by their whole path.
TREES = ("dashboard/", "evaluator/", "tests/", "docs/", "assets/", ".ci/")
#: What stands for a name of the reader's.
PLACEHOLDER = re.compile(r"NAME|<\w+>|…")
NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
#: Names that other programs gave.
FOREIGN = {"CUDA_VISIBLE_DEVICES"}
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def sources() -> list[Path]:
    """Every file in which a name of the code may stand."""
    found = [ROOT / "Makefile", ROOT / "pyproject.toml", *(ROOT / "assets").rglob("*.*")]
    for tree in ("dashboard", "evaluator", "tests"):
        found += [path for kind in ("*.py", "*.toml", "*.json") for path in (ROOT / tree).rglob(kind)]
    return [path for path in found if path.parent != Path(__file__).parent]


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Every word of the code, and every column, of which some are put together there."""
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
    """A name that was changed there and not here is found by that it is gone."""
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
