"""Split models, with parts as written by `llama-gguf-split`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np

from evaluator.models.model_file import ModelFile

U16, I32 = gguf.GGUFValueType.UINT16, gguf.GGUFValueType.INT32


def write_split(
    source: ModelFile, folder: Path, count: int, *, says: Mapping[int, tuple[int, int]] | None = None
) -> list[Path]:
    """Write `source` in `count` parts, the first without tensors; `says` overrides (no., count) per part."""
    names = list(source.tensors)
    shares = [[], *(part.tolist() for part in np.array_split(names, count - 1))]
    paths = [folder / f"Tiny-Q8_0-{number + 1:05d}-of-{count:05d}.gguf" for number in range(count)]
    for number, (path, share) in enumerate(zip(paths, shares, strict=True)):
        writer = gguf.GGUFWriter(str(path), source.architecture)
        if number == 0:
            for key, value in source.metadata.items():
                if key != "general.architecture":
                    kind = source.value_types[key]
                    plain = value.tolist() if isinstance(value, np.ndarray) else value
                    item = None if kind.item is None else gguf.GGUFValueType(kind.item)
                    writer.add_key_value(key, plain, gguf.GGUFValueType(kind.value), item)
        said_number, said_count = (says or {}).get(number, (number, count))
        writer.add_key_value("split.no", said_number, U16)
        writer.add_key_value("split.count", said_count, U16)
        writer.add_key_value("split.tensors.count", len(names), I32)
        for name in share:
            writer.add_tensor(name, source.dequantize(name))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return paths


def linked_as_in_the_hub(parts: list[Path], cache: Path) -> list[Path]:
    """Move files to `blobs/` of a repository in the hub's cache; return the links to them in its snapshot."""
    repository = cache / "models--owner--repo"
    blobs, snapshot = repository / "blobs", repository / "snapshots" / ("a" * 40)
    for folder in (blobs, snapshot):
        folder.mkdir(parents=True)
    links = [snapshot / part.name for part in parts]
    for number, (part, link) in enumerate(zip(parts, links, strict=True)):
        link.symlink_to(part.rename(blobs / f"{number:064x}"))
    return links
