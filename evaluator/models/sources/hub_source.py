"""What `hf:owner/repo[@revision][/glob]` names: a repository, a revision, and those of its files that are models."""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluator.models.checkpoint.folder import CONFIG
from evaluator.models.checkpoint.weight_files import SINGLE
from evaluator.models.gguf.split import first_part
from evaluator.models.sources.companions import companions_by_name, nothing_left, skipped_line
from evaluator.support.errors import RequestError
from evaluator.support.suggestions import nearest

PREFIX = "hf:"
#: Revisions with slashes that every repository has: of pull requests and of converted files.
_REF = r"refs/pr/\d+|refs/convert/[\w-]+"
_FORM = re.compile(rf"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>{_REF}|[^/]+))?(?:/(?P<pattern>.+))?")
#: Stands for a slash in other revisions.
_SLASH = "%2F"

#: Called with a line about the progress.
Report = Callable[[str], None]


def silent(_: str) -> None:
    """Ignore a report."""


@dataclass(frozen=True)
class HubSource:
    """A repository, a revision and a glob for its files."""

    repo: str
    revision: str
    pattern: str | None
    kind: str = "model"

    @classmethod
    def parse(cls, source: str) -> HubSource:
        """Read `hf:owner/repo[@revision][/glob]`.

        A slash in a revision is written %2F, except in refs/pr/N and refs/convert/NAME.

        Raises:
            RequestError: it does not have this form.
        """
        match = _FORM.fullmatch(source)
        if match is None:
            raise RequestError(f"{source}: expected hf:owner/repo[@revision][/glob]")
        revision = re.sub(_SLASH, "/", match["revision"] or "main", flags=re.IGNORECASE)
        return cls(match["repo"], revision, match["pattern"])

    def __str__(self) -> str:
        if self.revision == "main":
            return f"{PREFIX}{self.repo}"
        plain = re.fullmatch(_REF, self.revision)
        return f"{PREFIX}{self.repo}@{self.revision if plain else self.revision.replace('/', _SLASH)}"


def chosen_files(source: HubSource, names: Iterable[str], skip: Report = silent) -> list[str]:
    """Return the GGUF files that a source names, sorted, with all parts of split models.

    A file of the very name is taken even if the name reads as a glob.

    Args:
        source: the requested models.
        names: files in the repository.
        skip: called with a line about each file that is skipped because its name is no language model's.

    Raises:
        RequestError: none matches, or there are several and no glob.
    """
    everything = sorted(name for name in names if name.lower().endswith(".gguf"))
    exact = [name for name in everything if name == source.pattern]
    several = source.pattern is None or (glob.has_magic(source.pattern) and not exact)
    companions = companions_by_name(everything, source.pattern or "") if several else {}
    matches = everything if source.pattern is None else exact or fnmatch.filter(everything, source.pattern)
    skipped = {name: what for name, what in companions.items() if name in matches}
    models = {first_part(Path(name)) for name in matches if name not in skipped}
    if source.pattern is None and len(models) != 1:
        raise RequestError(f"{source}: {_no_single_model(source, everything, companions)}")
    if not models:
        if skipped:
            raise RequestError(f"{source}/{source.pattern}: {nothing_left(list(skipped.items()))}")
        near = nearest(source.pattern or "", everything)
        raise RequestError(f"{source}/{source.pattern}: no GGUF file matches{near or '; it holds none'}")
    for name, what in skipped.items():
        skip(skipped_line(name, what, by_name=True))
    return [name for name in everything if name not in skipped and first_part(Path(name)) in models]


def _no_single_model(source: HubSource, everything: Iterable[str], companions: Mapping[str, str]) -> str:
    """Return the reason why a repository without a glob does not name one model."""
    models = [name for name in everything if name not in companions]
    if not models and companions:
        return nothing_left(list(companions.items()))
    if not models:
        return f"holds neither a GGUF file nor a checkpoint ({CONFIG} and {SINGLE} or its index)"
    listed = ", ".join(models[:6]) + (", …" if len(models) > 6 else "")
    return f"name a glob, for instance {source}/{models[0]} (there are {listed})"
