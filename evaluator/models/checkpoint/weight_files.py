"""The weight files of a checkpoint: one, or several with an index."""

from __future__ import annotations

from pathlib import Path

from evaluator.models.checkpoint.safetensors_file import SafetensorsFile, open_safetensors
from evaluator.models.json_file import read_json
from evaluator.support.errors import SourceError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"

#: Longest file name that file systems allow, in bytes.
_LONGEST_NAME = 255

#: Prefixes of tensors of vision models that are not the text model's.
_OTHER_PREFIXES = tuple(
    f"{outer}{inner}"
    for outer in ("", "model.")
    for inner in (
        *("vision_tower.", "vision_model.", "visual.", "multi_modal_projector."),
        *("audio_tower.", "embed_vision.", "embed_audio."),
    )
)
#: Buffers that old versions of transformers stored; the graph computes them.
_BUFFERS = ("rotary_emb.inv_freq",)


def stored_tensors(folder: Path) -> tuple[list[Path], dict[str, SafetensorsFile]]:
    """Return the weight files in order, and tensor of the text model → the file that holds it.

    Raises:
        SourceError: a file is missing or damaged, or the folder holds no weights in this format.
    """
    if (folder / SINGLE).is_file():
        single = open_safetensors(folder / SINGLE)
        return [single.path], dict.fromkeys(filter(_is_of_text, single.directory), single)
    if not (folder / INDEX).is_file():
        raise SourceError(folder, f"holds neither {SINGLE} nor {INDEX}; other weight files are not read")
    weight_map = read_weight_map(folder / INDEX)
    files: dict[str, SafetensorsFile] = {}
    for name in sorted(set(weight_map.values())):
        if not (folder / name).is_file():
            raise SourceError(folder, f"{name} is missing, which {INDEX} names")
        files[name] = open_safetensors(folder / name)
    return [folder / INDEX, *(file.path for file in files.values())], {
        tensor: files[name] for tensor, name in weight_map.items() if _is_of_text(tensor)
    }


def read_weight_map(path: Path) -> dict[str, str]:
    """Return tensor → name of the file that holds it, checked so that no path leads out of the folder.

    Raises:
        SourceError: the index cannot be read, or contains something other than plain file names.
    """
    index = read_json(path)
    weight_map = {tensor: str(name) for tensor, name in index.within("weight_map").values.items()}
    for name in sorted(set(weight_map.values())):
        if Path(name).name != name or len(name.encode(errors="replace")) > _LONGEST_NAME:
            raise index.error("a file of weight_map", name, "a plain file name")
    return weight_map


def _is_of_text(name: str) -> bool:
    """Return whether an array of the files belongs to a weight of the text model."""
    return not name.startswith(_OTHER_PREFIXES) and not name.endswith(_BUFFERS)
