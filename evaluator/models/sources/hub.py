"""Models and texts from the Hugging Face hub: `hf:owner/repo[@revision][/glob]`.

Files are stored in the hub's usual cache, which other programs share, and interrupted downloads are resumed. The
listing of each repository is stored in this program's cache, so that earlier downloads can be used offline and
missing files are reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import requests
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub import errors as hub_errors
from huggingface_hub.utils.tqdm import disable_progress_bars

from evaluator.models.checkpoint.folder import CONFIG
from evaluator.models.checkpoint.quantized.methods import MODELOPT_FILE
from evaluator.models.checkpoint.vocabulary import TOKENIZER_FILES
from evaluator.models.checkpoint.weight_files import INDEX, SINGLE, read_weight_map
from evaluator.models.gguf.split import first_part
from evaluator.models.sources.hub_source import HubSource, Report, chosen_files, silent
from evaluator.support.cache import cache_folder
from evaluator.support.errors import RequestError, SourceError
from evaluator.support.units import MEGABYTE

_LOG_IN = "run `hf auth login` or set HF_TOKEN"
_TOO_MANY_REQUESTS = 429
#: The first status of faults of the hub itself.
_FAULT = 500
#: Number of attempts to download a file if the connection breaks.
_ATTEMPTS = 5


@dataclass(frozen=True)
class Listing:
    """A revision's commit, and the size of each of its files in bytes (0 if unknown)."""

    commit: str
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class Hub:
    """The hub's address and cache folder; the defaults are those of huggingface_hub."""

    endpoint: str | None = None
    cache: Path | None = None

    def models(self, source: HubSource, report: Report, skip: Report = silent) -> list[Path]:
        """Return local paths of the models that a source names: GGUF files (first parts of split ones), or a folder.

        Args:
            source: the requested models.
            report: called with a line about each download.
            skip: called with a line about each file that is skipped because its name is no language model's.

        Raises:
            RequestError: nothing matches, access is denied, or a download fails.
        """
        listing, reached = self.listing(source)
        if not reached:
            report(f"{source}: the hub cannot be reached; using the last known state of the repository")
        if _is_checkpoint(source, listing):
            return [self._checkpoint(source, listing, report, reached=reached)]
        names = chosen_files(source, listing.sizes, skip)
        paths = self.fetch(source, listing, names, report, reached=reached)
        return list(dict.fromkeys(first_part(paths[name]) for name in names))

    def _checkpoint(self, source: HubSource, listing: Listing, report: Report, *, reached: bool) -> Path:
        """Return the local folder of a checkpoint."""
        names = self._checkpoint_files(source, listing, report, reached=reached)
        return self.fetch(source, listing, names, report, reached=reached)[CONFIG].parent

    def _checkpoint_files(
        self, source: HubSource, listing: Listing, report: Report, *, reached: bool
    ) -> list[str]:
        """Return a checkpoint's files; a single weight file is preferred to several with an index."""
        others = [name for name in (CONFIG, MODELOPT_FILE, *TOKENIZER_FILES) if name in listing.sizes]
        if SINGLE in listing.sizes:
            return [*others, SINGLE]
        index = self.fetch(source, listing, [INDEX], report, reached=reached)[INDEX]
        return [*others, INDEX, *_indexed(source, index, listing)]

    def size_bytes(self, source: HubSource, report: Report) -> int:
        """Return the size of the one model that a source names, by the hub's listing; no weights are downloaded.

        Args:
            source: the model.
            report: called with a line about each request.

        Raises:
            RequestError: it names no model or several, access is denied, or its size is not known.
        """
        report(f"asking the hub for the size of {source}{f'/{source.pattern}' if source.pattern else ''}")
        listing, reached = self.listing(source)
        if _is_checkpoint(source, listing):
            names = self._checkpoint_files(source, listing, report, reached=reached)
        else:
            names = chosen_files(source, listing.sizes)
            if len(models := {first_part(Path(name)) for name in names}) != 1:
                raise RequestError(f"{source}/{source.pattern}: {len(models)} models match; name one of them")
        if unknown := next((name for name in names if not listing.sizes[name]), None):
            raise RequestError(f"{source}: the hub does not say how large {unknown} is")
        return sum(listing.sizes[name] for name in names)

    def listing(self, source: HubSource) -> tuple[Listing, bool]:
        """Return a revision's listing and whether the hub was reached; if not, the listing is the last stored one.

        Raises:
            RequestError: there is no such revision, access is denied, or no listing is stored.
        """
        note = _note_path(self.endpoint, source)
        try:
            info = HfApi(endpoint=self.endpoint).repo_info(
                source.repo, revision=source.revision, repo_type=source.kind, files_metadata=True
            )
        except Exception as error:
            if not _unreachable(error):
                raise explained(source, error) from error
            return _stored_listing(source, note, error), False
        # Names become paths, which must not lead out of the cache.
        sizes = {
            item.rfilename: item.size or 0
            for item in info.siblings or []
            if ".." not in (path := PurePosixPath(item.rfilename)).parts and not path.is_absolute()
        }
        listing = Listing(str(info.sha), sizes)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"commit": listing.commit, "sizes": listing.sizes}), encoding="utf-8")
        return listing, True

    def fetch(
        self,
        source: HubSource,
        listing: Listing,
        names: Iterable[str],
        report: Report,
        *,
        reached: bool = True,
    ) -> dict[str, Path]:
        """Return the local paths of files; those that are not in the cache are downloaded.

        Raises:
            RequestError: a file cannot be downloaded.
        """
        disable_progress_bars()  # they would interfere with the progress display of the run
        wanted, paths, missing = list(names), dict[str, Path](), list[str]()
        for number, name in enumerate(wanted, 1):
            if reached:
                size = listing.sizes.get(name, 0) / MEGABYTE
                report(
                    f"fetching {Path(name).name} ({size:,.0f} MB, {number} of {len(wanted)}) from {source.repo}"
                )
            try:
                paths[name] = self._file(source, listing.commit, name, reached=reached)
            except hub_errors.LocalEntryNotFoundError as error:
                if reached:
                    raise explained(source, error.__cause__ or error) from error
                missing.append(name)
            except Exception as error:
                raise explained(source, error) from error
        if missing:
            raise RequestError(
                f"{source}: the hub cannot be reached, and {len(missing)} of {len(wanted)} files are not in the "
                f"cache ({missing[0]}{', …' if len(missing) > 1 else ''})"
            )
        return paths

    def _file(self, source: HubSource, commit: str, name: str, *, reached: bool) -> Path:
        """Return the local path of a file; a broken download is resumed."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                path = hf_hub_download(
                    source.repo,
                    name,
                    revision=commit,
                    repo_type=source.kind,
                    endpoint=self.endpoint,
                    cache_dir=self.cache,
                    local_files_only=not reached,
                )
                break
            except requests.RequestException as error:
                if attempt == _ATTEMPTS or not reached or _answered(error):
                    raise
        return Path(path)


def _is_checkpoint(source: HubSource, listing: Listing) -> bool:
    return source.pattern is None and CONFIG in listing.sizes and bool({SINGLE, INDEX} & listing.sizes.keys())


def _indexed(source: HubSource, index: Path, listing: Listing) -> list[str]:
    """Return the weight files that an index names, sorted; other files may hold a copy of the weights.

    Raises:
        RequestError: the index is damaged, or names a file that the repository does not hold.
    """
    try:
        names = sorted(set(read_weight_map(index).values()))
    except SourceError as error:
        raise RequestError(f"{source}: its {INDEX} cannot be used: {error.reason}") from error
    if absent := next((name for name in names if name not in listing.sizes), None):
        raise RequestError(f"{source}: holds no {absent}, which its {INDEX} names")
    return names


def _note_path(endpoint: str | None, source: HubSource) -> Path:
    parts = [source.kind, source.repo.replace("/", "--"), source.revision, endpoint or ""]
    return cache_folder() / "hub" / (re.sub(r"[^\w.-]+", "_", "@".join(filter(None, parts))) + ".json")


def _stored_listing(source: HubSource, note: Path, error: Exception) -> Listing:
    try:
        stored: Any = json.loads(note.read_text(encoding="utf-8"))
        return Listing(str(stored["commit"]), dict(stored["sizes"]))
    except (OSError, ValueError, KeyError, TypeError):
        reason = f"the hub cannot be reached ({type(error).__name__}), and it was not downloaded before"
        raise RequestError(f"{source}: {reason}") from error


def _answered(error: BaseException) -> bool:
    """Return whether the hub answered with an error, also if the library tells it as a file that is not cached."""
    return getattr(error.__cause__ or error, "response", None) is not None


def _unreachable(error: BaseException) -> bool:
    """Return whether the hub did not answer or answered with a server error."""
    if isinstance(error, hub_errors.HfHubHTTPError):
        return error.response is not None and error.response.status_code >= _FAULT
    return isinstance(error, (requests.ConnectionError, requests.Timeout, hub_errors.OfflineModeIsEnabled))


def explained(source: HubSource, error: BaseException) -> Exception:
    """Return the error to raise, one line with the remedy; errors of the disk are returned unchanged."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, hub_errors.GatedRepoError):
        reason = f"is gated: accept its terms at huggingface.co/{source.repo}, then {_LOG_IN}"
    elif isinstance(error, hub_errors.RevisionNotFoundError):
        reason = f"has no revision {source.revision!r} (a slash in a name is written %2F)"
    elif isinstance(error, hub_errors.RepositoryNotFoundError) or status in (401, 403):
        reason = f"there is no such {source.kind}, or it is private; check the name, or {_LOG_IN}"
    elif status == _TOO_MANY_REQUESTS:
        reason = f"too many requests to the hub; wait some minutes, or {_LOG_IN} for a higher limit"
    elif status is not None and status >= _FAULT:
        reason = f"the hub has a fault (status {status}); run the same command again later"
    elif status is None and (isinstance(error, requests.RequestException) or _unreachable(error)):
        reason = f"the download broke off ({type(error).__name__}); run the same command again to resume it"
    elif isinstance(error, hub_errors.HFValidationError):
        reason = f"is not a valid name on the hub: {error}"
    elif (
        status is None and isinstance(error, OSError) and not isinstance(error, hub_errors.EntryNotFoundError)
    ):
        return error
    else:
        reason = f"cannot be downloaded: {type(error).__name__} {error}"
    return RequestError(f"{source}: {reason}")
