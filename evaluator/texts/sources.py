"""Read evaluation texts by a `--text` argument: `[DOMAIN=]FILE`, `[DOMAIN=]chat:FILE.jsonl`, or a known name.

Known names: `builtin`, the texts in the package, one per domain; `wikitext-2`, the test split usually used for
llama.cpp's numbers, and `wikitext-2-valid`, for calibration, both downloaded once.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evaluator.models.model_file import ModelFile
from evaluator.models.sources.hub import Hub
from evaluator.models.sources.hub_source import HubSource, Report
from evaluator.support.errors import RequestError
from evaluator.support.paths import exists, readable, typed_path
from evaluator.texts.chat import control_tokens, render_chats

BUILT_IN, WIKITEXT, WIKITEXT_VALID = "builtin", "wikitext-2", "wikitext-2-valid"
BUILT_IN_DOMAINS = (
    *("encyclopedic", "narrative", "dialogue", "source_code"),
    *("tool_calls", "non_latin", "long_document"),
)
_CHAT = "chat:"
_WIKITEXT_SOURCE = HubSource("ggml-org/ci", "main", None, kind="dataset")
_WIKITEXT_ARCHIVE = "wikitext-2-raw-v1.zip"
#: Known name → file in the archive and its SHA-256.
_WIKITEXT_MEMBERS = {
    WIKITEXT: (
        "wikitext-2-raw/wiki.test.raw",
        "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08",
    ),
    WIKITEXT_VALID: (
        "wikitext-2-raw/wiki.valid.raw",
        "4cd0f6876d07a413aa911261ff6d363c72d757d47f0fdd6015702014c89cb9c7",
    ),
}


@dataclass(frozen=True)
class Text:
    """An evaluation text: `content` as in the file, with its line ends but without a byte-order mark.

    `control` maps the text of control tokens to their ids. It is empty except for chats; elsewhere text that looks
    like a control token is plain text. `path` is the file's, empty for known names.
    """

    domain: str
    name: str
    content: str
    control: Mapping[str, int] = field(default_factory=dict)
    path: str = ""

    @property
    def sha256(self) -> str:
        """Digest of the UTF-8 bytes."""
        return hashlib.sha256(self.content.encode()).hexdigest()


def read_texts(argument: str, model: ModelFile, report: Report, hub: Hub | None = None) -> list[Text]:
    """Return the texts that one argument names; the default domain is the file's stem.

    Args:
        argument: the argument as typed.
        model: the model whose chat template renders conversations.
        report: called with a line about each download.
        hub: the hub that known texts are downloaded from.

    Raises:
        RequestError: a text cannot be read or downloaded, is empty or not UTF-8, or a conversation is invalid.
    """
    label, name = _label_and_name(argument)
    path = text_file(argument)
    if path is None:
        return _known_texts(label, name, hub, report)
    domain, shown = readable(label or path.stem), readable(path.name)
    if name.startswith(_CHAT):
        content = render_chats(path, _read(path), model)
        return [Text(domain, shown, content, control_tokens(model), str(path))]
    return [Text(domain, shown, _read(path), path=str(path))]


def text_file(argument: str) -> Path | None:
    """Return the file that one argument names; None for known names.

    Raises:
        RequestError: it names nothing.
    """
    label, name = _label_and_name(argument)
    if not name.removeprefix(_CHAT).strip():
        raise RequestError(f"text {argument!r}: names no file; give [DOMAIN=]FILE or a known name")
    if (name in _WIKITEXT_MEMBERS or (name == BUILT_IN and not label)) and not exists(typed_path(name)):
        return None
    return typed_path(name.removeprefix(_CHAT))


def _label_and_name(argument: str) -> tuple[str, str]:
    domain, separator, rest = argument.partition("=")
    return (domain, rest) if separator and not exists(typed_path(argument)) else ("", argument)


def _known_texts(label: str, name: str, hub: Hub | None, report: Report) -> list[Text]:
    if name == BUILT_IN:
        return built_in_texts()
    return [Text(label or "wikitext", name, _wikitext(name, hub or Hub(), report))]


def built_in_texts() -> list[Text]:
    """Return the texts in the package, one per domain."""
    folder = importlib.resources.files("evaluator") / "texts"
    return [
        Text(domain, f"{domain}.txt", (folder / f"{domain}.txt").read_bytes().decode("utf-8"))
        for domain in BUILT_IN_DOMAINS
    ]


def _read(path: Path) -> str:
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        known = (
            f"; known names: {', '.join((BUILT_IN, *_WIKITEXT_MEMBERS))}"
            if isinstance(error, FileNotFoundError)
            else ""
        )
        raise RequestError(f"{path}: cannot be read: {error.strerror or error}{known}") from error
    if not content.strip():
        raise RequestError(f"{path}: the text is empty")
    return content


def _wikitext(name: str, hub: Hub, report: Report) -> str:
    """Return a raw split, checked against its digest."""
    member, sha256 = _WIKITEXT_MEMBERS[name]
    listing, reached = hub.listing(_WIKITEXT_SOURCE)
    archive = hub.fetch(_WIKITEXT_SOURCE, listing, [_WIKITEXT_ARCHIVE], report, reached=reached)[
        _WIKITEXT_ARCHIVE
    ]
    try:
        with zipfile.ZipFile(archive) as members:
            content = members.read(member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise RequestError(f"{archive}: does not hold {member}; delete it and try again") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RequestError(f"{archive}: its {member} is not the canonical one; name a file instead")
    return content.decode("utf-8")
