"""What a run notes is on the first page, in the summary and in the provenance of exports."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_factory import make_manifest, make_results

from dashboard.export.provenance import facts
from dashboard.insights.notices import notices
from dashboard.pages import overview, summary
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from evaluator.results.files import MANIFEST_NAME

NOTICE = "times in llama.cpp were measured with threads 2, and those of files added later with threads 4"


def noted(folder: Path, *texts: str) -> Scope:
    make_results(folder, quants=("Q4_0",), windows=4, with_layers=False)
    manifest = make_manifest(4, 64).model_copy(update={"notices": list(texts)})
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json())
    return Scope(Results.open(folder))


@pytest.mark.parametrize("texts", [(), (NOTICE,), (NOTICE, "The vision part is not scored.")])
def test_notices_of_the_run_are_shown_as_sentences(texts: tuple[str, ...], tmp_path: Path) -> None:
    scope = noted(tmp_path, *texts)
    said = [item.text for item in notices(scope)]
    assert len(said) == len(texts)
    assert all(item.kind == "note" for item in notices(scope))
    assert all(text[0].isupper() and text.endswith(".") and not text.endswith("..") for text in said)
    on_the_page = str(overview.beside(scope))
    in_the_summary = [item.text for item in summary.insights(scope)]
    assert all(text in on_the_page and text in in_the_summary for text in said)
    assert facts(scope).get("Notes of the run", "") == "; ".join(texts)
