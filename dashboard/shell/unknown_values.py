"""Say which values of an address do not exist, and what is shown instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboard.pages import column_menu, explore
from dashboard.results.engines import in_words
from dashboard.results.known_values import values
from dashboard.results.library import Library
from dashboard.results.results import Results
from dashboard.results.selection import FIELDS, pairs
from dashboard.shell.address import Address
from dashboard.style import formats
from dashboard.style.names import clean, short
from dashboard.views import Option, charts
from evaluator.support.suggestions import did_you_mean

#: Longest value that a sentence quotes, in characters, and how many values it quotes.
_LONGEST, _MOST = 48, 3


@dataclass(frozen=True)
class _Kind:
    """What the values of a key are called, what is shown without any, and how they are written if that is fixed."""

    name: str
    instead: str = ""
    form: str = ""


_KINDS: Mapping[str, _Kind] = {
    "model": _Kind("model"),
    "device": _Kind("device", "All devices are shown"),
    "method": _Kind("method", "All methods are shown"),
    "quant": _Kind("type", "All types are shown"),
    "bits": _Kind("range of bits", "All bits are shown", "a range is written as 3-5"),
    "domain": _Kind("text", "All texts count"),
    "bin": _Kind("bin of confidence", "Tokens of all bins count", "bins are 0 to 4"),
    "layer": _Kind("layer", "All layers are shown"),
    "role": _Kind("role", "All roles are shown"),
    "only": _Kind("file", "All files are shown"),
    "pick": _Kind("file", "No file is picked"),
    "a": _Kind("file", "File A is the usual one"),
    "b": _Kind("file", "File B is the usual one"),
    "engine": _Kind("engine"),
}


def checked(search: str | None, address: Address, results: Results, library: Library) -> tuple[Address, str]:
    """Take unknown values of switches out of an address, and say which values that were asked for do not exist.

    Args:
        search: the query that was asked for.
        address: the same without the values that the folder does not have.
        results: what is shown of the folder.
        library: the folders.

    Returns:
        The address, and what to say: two sentences for each key with unknown values; empty without any.
    """
    asked: dict[str, list[str]] = {}
    for key, value in pairs(search):
        asked.setdefault(key, []).append(value)
    said = [_folder(asked["results"][0], address, library)] if "results" in asked else []
    for key in _KINDS:
        if key in asked and (lost := _lost(key, asked[key], address, results)):
            said.append(_sentences(key, lost, address, results, library.at(address.folder)))
    for option in (option for view in charts() for option in view.options):
        chosen = asked.get(option.key, [""])[-1]
        if chosen and chosen not in dict(option.choices):
            address = address.with_option(option.key, None)
            said.append(_of_switch(option, chosen))
    if column_menu.KEY in asked:
        address, of_columns = _columns(asked[column_menu.KEY][-1], address, results, library)
        said.append(of_columns)
    return address, " ".join(filter(None, said))


def _lost(key: str, asked: Sequence[str], address: Address, results: Results) -> list[str]:
    """Return the values of a key that are not shown because they do not exist."""
    if key == "bits":
        return [] if address.selection.bits else [asked[-1]]
    if key == "engine":  # the usual one is not written in an address
        return [asked[-1]] if asked[-1] not in results.engines else []
    kept = {value for name, value in pairs(address.query) if name == key}
    counts = asked if key in FIELDS else asked[-1:]
    return [value for value in dict.fromkeys(counts) if value not in kept]


def _sentences(key: str, lost: Sequence[str], address: Address, results: Results, whole: Results) -> str:
    kind = _KINDS[key]
    where = "" if kind.form else f" in {'this folder' if key == 'model' else _part(results, whole)}"
    offered = values(whole if key == "model" else results, key) or ()
    near = did_you_mean(lost[0], offered) if len(lost) == 1 and key != "layer" else ""
    hint = near or (f"; {kind.form}." if kind.form else ".")
    return f"There is no {kind.name} {_quoted(lost)}{where}{hint} {_instead(key, address, results)}."


def _part(results: Results, whole: Results) -> str:
    """Name what is shown of a folder: its only chosen model, or the folder."""
    return results.models[0] if len(results.models) == 1 < len(whole.models) else "this folder"


def _instead(key: str, address: Address, results: Results) -> str:
    """Say what is shown: what else the address names, or what `_KINDS` says."""
    if key == "engine":
        return f"The engine is {in_words(results.engine(address.selection))}"
    kept = sorted(map(str, getattr(address.selection, FIELDS[key]))) if key in FIELDS else []
    if key == "model":
        kept = results.models
    if not kept:
        return _KINDS[key].instead
    names = [results.labels.get(name, name) for name in kept] if key in {"only", "pick"} else kept
    verb = "is" if len(names) == 1 else "are"
    return f"{formats.listing(names)} {verb} {'shown' if key == 'model' else 'kept'}"


def _folder(asked: str, address: Address, library: Library) -> str:
    if asked in library.names:
        return ""
    hint = did_you_mean(asked, library.names) or "."
    return f"There is no folder {_quoted([asked])} here{hint} {library.name_of(address.folder)} is shown."


def _of_switch(option: Option, asked: str) -> str:
    return f"The switch “{option.name}” has no choice {_quoted([asked])}. “{option.choices[0][1]}” is shown."


def _columns(asked: str, address: Address, results: Results, library: Library) -> tuple[Address, str]:
    """Take the columns that Explore's table does not have out of an address, and say which these are."""
    named, offered = column_menu.named(asked), explore.offered(results)
    kept = [name for name in named if name in offered]
    lost = [name for name in named if name not in offered]
    if not lost:
        return address, ""
    near = did_you_mean(lost[0], offered) if len(lost) == 1 else ""
    verb = "is" if len(kept) == 1 else "are"
    instead = f"{formats.listing(kept)} {verb} kept" if kept else "The usual columns are shown"
    part = _part(results, library.at(address.folder))
    said = f"There is no column {_quoted(lost)} in {part}{near or '.'} {instead}."
    return address.with_option(column_menu.KEY, column_menu.SEPARATOR.join(kept)), said


def _quoted(names: Sequence[str]) -> str:
    shown = [f"“{clean(short(name, _LONGEST))}”" for name in names[:_MOST]]
    more = [f"{len(names) - _MOST} more"] if len(names) > _MOST else []
    return " or ".join([*shown, *more])
