"""Parts of a page that unfold."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component


def fold(
    name: str,
    summary: html.Summary,
    parts: Sequence[Component],
    class_name: str = "fold",
    *,
    unfolded: bool = False,
) -> Component:
    """Return a part that unfolds at a click on its summary.

    Drawn anew, it stays as the reader left it (folds.js). `name` tells it from the others of the page.
    """
    return html.Details([summary, *parts], open=unfolded, className=class_name, **{"data-fold": name})
