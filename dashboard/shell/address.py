"""The URL of a screen: page, results folder and selection. It holds the whole state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from dashboard.results.selection import EVERYTHING, Selection, pairs
from dashboard.views import option_keys

OVERVIEW, COMPARE, EXPLORE, SUMMARY = "overview", "compare", "explore", "summary"
#: A page of its own, without a folder, where files can be measured.
MEASURE = "measure"


@dataclass(frozen=True)
class Address:
    """`slug` names a page, `folder` one of the results folders being served (empty: the first)."""

    slug: str = OVERVIEW
    selection: Selection = EVERYTHING
    folder: str = ""

    @classmethod
    def parse(cls, pathname: str | None, search: str | None) -> Address:
        """Read a URL's path and query; unknown and malformed parts are ignored."""
        slug = (pathname or "/").strip("/").lower() or OVERVIEW
        selection = Selection.from_query(search, option_keys())
        return cls(slug, selection, _folder(search))

    @property
    def path(self) -> str:
        """The URL's path."""
        return "/" if self.slug == OVERVIEW else f"/{quote(self.slug)}"

    @property
    def query(self) -> str:
        """The URL's query without `?`, in a fixed order."""
        parts = [urlencode({"results": self.folder}, quote_via=quote)] if self.folder else []
        return "&".join([*parts, *filter(None, [self.selection.to_query()])])

    @property
    def href(self) -> str:
        """Path and query, for a link."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def with_selection(self, selection: Selection) -> Address:
        """Return the same page with another selection."""
        return replace(self, selection=selection)

    def with_option(self, key: str, value: str | None) -> Address:
        """Return the same page with one option set, or back at its default if `value` is empty."""
        kept = tuple(pair for pair in self.selection.options if pair[0] != key)
        added = ((key, value),) if value else ()
        return self.with_selection(replace(self.selection, options=tuple(sorted(kept + added))))


def _folder(search: str | None) -> str:
    return next((value for key, value in pairs(search) if key == "results"), "")
