"""Cut plotly.py's plotly.js down to the trace types that the views draw, a quarter of its size.

The file is a bundle of modules, each a function that runs when another module requires it. One of them registers
all trace types. After removing the unused types there, most modules are no longer required and are removed too. If
the bundle is not built as expected, the whole file is served.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from plotly.offline import get_plotlyjs, get_plotlyjs_version

from evaluator.support.cache import cache_folder

#: All trace types of the views and their exports.
TRACES = ("bar", "heatmap", "scatter", "scatterpolar")
_FILE = "plotly.min.js"
_CHECKSUM = f"{_FILE}.sha256"
#: esbuild's wrappers of modules with exports, and of those whose names are global in the bundle.
_WRAPS_EXPORTS = re.compile(r"([\w$]+)=\(\w+,\w+\)=>\(\)=>.{0,90}?\{exports:\{\}\}")
_WRAPS_NAMES = re.compile(r"([\w$]+)=\(\w+(?:,\w+)*\)=>\(\)=>.{0,90}?\(\w+=0\)")
_REGISTERS = re.compile(r"[\w$]+\.register\(\[((?:[\w$]+\(\),?)+)\]\)")
_HANDS_ON = re.compile(r"\.exports=([\w$]+)\(\)\}\)")
_IS_TRACE = re.compile(r'moduleType:"trace",name:"(\w+)"')
_END = re.compile(r"return ([\w$]+)\(\);?\}\)\(\)")
_NAME = re.compile(r"[\w$]+")


class SlimError(Exception):
    """The file cannot be made; the message is one line that says why."""


def slim_file() -> Path | None:
    """Return the cached file for the installed plotly.py and `TRACES`; None if it is missing or damaged."""
    folder = _folder()
    try:
        body, checksum = (folder / _FILE).read_bytes(), (folder / _CHECKSUM).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return folder / _FILE if _sha256(body) == checksum.strip() else None


def make_slim_file() -> Path:
    """Return the file, made now (in a second) if it is not cached.

    Raises:
        SlimError: plotly.js is not built as expected, or the cache folder cannot be written.

    """
    if kept := slim_file():
        return kept
    note = f"/* plotly.js {get_plotlyjs_version()}, only {', '.join(TRACES)} */\n"
    body = (note + slim_code(get_plotlyjs(), TRACES)).encode()
    try:
        return keep(body)
    except OSError as error:
        raise SlimError(f"{error.filename or _folder()} cannot be written: {error.strerror}") from None


def keep(body: bytes) -> Path:
    """Cache `body` as the file to serve; the checksum, written last, makes it valid."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    parts: Mapping[str, bytes] = {_FILE: body, _CHECKSUM: _sha256(body).encode()}
    for name, content in parts.items():
        part = folder / f"{name}.{os.getpid()}.part"
        part.write_bytes(content)
        part.replace(folder / name)
    return folder / _FILE


def slim_code(code: str, traces: Collection[str]) -> str:
    """Cut a bundle of plotly.js down to some trace types and the modules they need.

    Raises:
        SlimError: the bundle is not built as expected, or lacks one of the types.

    """
    bundle = _Bundle.of(code)
    listed = _search(_REGISTERS, code, "list of trace types")
    entries = _NAME.findall(listed[1])
    wanted = [entry for entry in entries if bundle.trace(entry) in traces]
    place = next((i for i, text in enumerate(bundle.modules) if listed[0] in text), None)
    if place is None or not wanted:
        raise SlimError("plotly.js lists its trace types in an unknown way")
    short = listed[0].replace(listed[1], ",".join(f"{entry}()" for entry in wanted))
    bundle.modules[place] = bundle.modules[place].replace(listed[0], short)
    kept = bundle.needed()
    body = "".join(text for i, text in enumerate(bundle.modules) if i in kept)
    missing = set(traces) - set(_IS_TRACE.findall(body))
    if missing:
        raise SlimError(f"plotly.js has no trace type {', '.join(sorted(missing))}")
    return bundle.head + body + bundle.tail


@dataclass(frozen=True)
class _Bundle:
    """A bundle's modules in order, the code before and after them, and the index of the module of each name."""

    head: str
    modules: list[str]
    tail: str
    places: Mapping[str, int]

    @classmethod
    def of(cls, code: str) -> _Bundle:
        """Split a bundle into modules; modules without exports are kept with the one before them."""
        exports = re.escape(_search(_WRAPS_EXPORTS, code, "modules")[1])
        names = re.escape(_search(_WRAPS_NAMES, code, "modules")[1])
        begins = list(re.finditer(rf"(?<=;)var ([\w$]+)={exports}\((?:[\w$]+|\([\w$,]*\))=>\{{", code))
        ends = list(_END.finditer(code))
        if not begins or not ends:
            raise SlimError("plotly.js is bundled in an unknown way")
        bounds = [*(begin.start() for begin in begins), ends[-1].start()]
        modules = [code[start:end] for start, end in pairwise(bounds)]
        places = {begin[1]: i for i, begin in enumerate(begins)}
        for i, text in enumerate(modules):
            places |= dict.fromkeys(re.findall(rf"([\w$]+)={names}\(", text), i)
        return cls(code[: bounds[0]], modules, code[bounds[-1] :], places)

    def trace(self, name: str) -> str | None:
        """Return the trace type of a module or of the one it re-exports; None for other modules."""
        text = self._text(name)
        if handed := _HANDS_ON.search(text):
            text = self._text(handed[1])
        match = _IS_TRACE.search(text)
        return match[1] if match else None

    def needed(self) -> set[int]:
        """Return the modules that the bundle's result requires, directly or indirectly."""
        needed: set[int] = set()
        todo = self._named(self.tail[: self.tail.index(")")])
        while todo:
            place = todo.pop()
            if place not in needed:
                needed.add(place)
                todo |= self._named(self.modules[place])
        return needed

    def _text(self, name: str) -> str:
        place = self.places.get(name)
        return self.modules[place] if place is not None else ""

    def _named(self, text: str) -> set[int]:
        return {self.places[name] for name in set(_NAME.findall(text)) if name in self.places}


def _search(pattern: re.Pattern[str], code: str, part: str) -> re.Match[str]:
    match = pattern.search(code)
    if match is None:
        raise SlimError(f"plotly.js is not built as expected: no {part} found")
    return match


def _folder() -> Path:
    """Return the cache folder for this version of plotly.js and list of traces."""
    return cache_folder() / "plotly.js" / "-".join([get_plotlyjs_version(), *TRACES])


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
