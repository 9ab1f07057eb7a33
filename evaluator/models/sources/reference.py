"""Name a model on disk so that another machine finds the same one, and check that it has the same content."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path

from evaluator.models.model_file import ModelFile
from evaluator.models.sources.digests import remembered_sha256
from evaluator.models.sources.hub_source import PREFIX
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.packaged import PACKAGED_MODELS
from evaluator.models.sources.resolve import resolve_one, sha256_of_all
from evaluator.support.errors import RequestError, SourceError

#: The place of a repository's file in the hub's cache: …/models--OWNER--REPO/snapshots/COMMIT/FILE.
_IN_HUB_CACHE = re.compile(
    r"/models--(?P<owner>[^/]+?)--(?P<repo>[^/]+)/snapshots/(?P<commit>[0-9a-f]{40})(?:/(?P<file>.+))?$"
)


@dataclass(frozen=True)
class ModelReference:
    """A model as other machines find it.

    Attributes:
        path: its absolute path, the same on machines that share the folder.
        source: a SRC that names the same content on every machine; None if there is none.
        sha256: digest of its files.
    """

    path: Path
    source: str | None
    sha256: str

    @classmethod
    def of(cls, file: ModelFile, sha256: str) -> ModelReference:
        """Return the reference of a file with a known digest."""
        path = file.path.absolute()
        return cls(path, portable_source(path), sha256)

    def open(self) -> ModelFile:
        """Open the model on this machine, from its path or, if that does not exist here, from its source.

        Raises:
            SourceError: it cannot be found or read here, or has other content.
        """
        file = self._found()
        try:
            found = sha256_of_all(file.files, remembered_sha256)
        except OSError as error:
            raise SourceError(file.path, f"cannot be read: {error.strerror or error}") from error
        if found != self.sha256:
            raise SourceError(
                file.path,
                f"has other content here (SHA-256 {found[:12]}…) than where the run was started "
                f"({self.sha256[:12]}…); copy the file again",
            )
        return file

    def _found(self) -> ModelFile:
        if self.path.exists():
            try:
                return open_model(self.path)
            except OSError as error:
                raise SourceError(self.path, f"cannot be read: {error.strerror or error}") from error
        if self.source is None:
            raise SourceError(
                self.path,
                "does not exist here; put it at the same path on every machine (a shared folder, for instance), "
                "or name it as hf:owner/repo/file",
            )
        try:
            return open_model(resolve_one(self.source))
        except RequestError as error:
            raise SourceError(self.path, f"does not exist here, and {error}") from error


def portable_source(path: Path) -> str | None:
    """Return a SRC that names the model at `path` on every machine, with its commit if it is from the hub.

    Args:
        path: an absolute path. Links must not be resolved: the hub's cache consists of links.
    """
    if match := _IN_HUB_CACHE.search(path.as_posix()):
        file = f"/{glob.escape(match['file'])}" if match["file"] else ""
        return f"{PREFIX}{match['owner']}/{match['repo']}@{match['commit']}{file}"
    for name, model in PACKAGED_MODELS.items():
        if path.parts[-2:] == model.place:
            return name
    return None
