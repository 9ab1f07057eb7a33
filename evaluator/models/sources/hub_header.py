"""Read the headers of GGUF files on the Hugging Face hub by range requests, without downloading the files."""

from __future__ import annotations

import re
from pathlib import Path

import requests
from huggingface_hub import hf_hub_url, try_to_load_from_cache
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import get_session, hf_raise_for_status

from evaluator.models.gguf.reader import GGUFFile, IncompleteHeaderError, open_gguf, read_gguf
from evaluator.models.gguf.split import first_part, is_part, join_parts
from evaluator.models.model_file import ModelFile
from evaluator.models.sources.hub import Hub, Listing, explained
from evaluator.models.sources.hub_source import HubSource, Report, chosen_files, silent
from evaluator.support.errors import RequestError
from evaluator.support.units import MEGABYTE

#: The first request; later ones read half as much again, because vocabularies take most of a header.
_FIRST_BYTES = 1 << 19
#: Headers with the largest vocabularies take about 20 MB.
_MOST_BYTES = 1 << 27
_SECONDS = 30
_PARTIAL = 206
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def open_hub_header(source: HubSource, hub: Hub, report: Report = silent) -> ModelFile:
    """Return the model that a source names with its metadata and tensor directory, but without tensor bytes.

    Files in the hub's cache are opened there.

    Raises:
        RequestError: it names no model or several, access is denied, or a request fails.
        SourceError: a file is no GGUF file, or its header contradicts itself.
    """
    listing, reached = hub.listing(source)
    names = chosen_files(source, listing.sizes)
    models = {first_part(Path(name)) for name in names}
    if len(models) != 1:
        raise RequestError(f"{source}/{source.pattern}: {len(models)} models match; name one of them")
    report(f"reading the header of {Path(names[0]).name} from {source.repo}")
    parts = [_header(source, hub, listing, name, reached=reached) for name in names]
    return join_parts(parts) if is_part(parts[0].path) else parts[0]


def _header(source: HubSource, hub: Hub, listing: Listing, name: str, *, reached: bool) -> GGUFFile:
    cached = try_to_load_from_cache(
        source.repo, name, cache_dir=hub.cache, revision=listing.commit, repo_type=source.kind
    )
    if isinstance(cached, str):
        return open_gguf(Path(cached), part=is_part(Path(cached)))
    if not reached:
        raise RequestError(f"{source}: the hub cannot be reached, and {name} is not in the cache")
    path = Path(f"{source}/{name}")
    data, size = _range(source, hub, listing, name, 0, _FIRST_BYTES)
    while True:
        try:
            return read_gguf(path, memoryview(data), size, part=is_part(path))
        except IncompleteHeaderError as error:
            if len(data) >= size:
                raise
            if len(data) >= _MOST_BYTES:
                reason = f"its header takes more than {_MOST_BYTES / MEGABYTE:,.0f} MB"
                raise RequestError(f"{path}: {reason}") from error
        data += _range(source, hub, listing, name, len(data), len(data) + max(_FIRST_BYTES, len(data) // 2))[
            0
        ]


def _range(
    source: HubSource, hub: Hub, listing: Listing, name: str, start: int, stop: int
) -> tuple[bytes, int]:
    """Return bytes `start` to `stop` of a file, fewer at its end, and the size of the file.

    Raises:
        RequestError: the hub refuses or breaks off the request, or answers with something else.
    """
    url = hf_hub_url(source.repo, name, revision=listing.commit, repo_type=source.kind, endpoint=hub.endpoint)
    headers = build_hf_headers() | {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    try:
        with get_session().get(url, headers=headers, stream=True, timeout=_SECONDS) as response:
            hf_raise_for_status(response)
            given = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if response.status_code != _PARTIAL or given is None or int(given[1]) != start:
                reason = "the hub does not serve parts of it; download it and name the file"
                raise RequestError(f"{source}/{name}: {reason}")
            content = b""
            for piece in response.iter_content(_FIRST_BYTES):
                content += piece
                if len(content) >= stop - start:
                    break
    except requests.RequestException as error:
        raise explained(source, error) from error
    if not content:
        raise RequestError(f"{source}/{name}: the hub sent nothing for bytes {start} to {stop}")
    return content[: stop - start], int(given[3])
