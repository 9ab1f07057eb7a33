"""Write GGUF files with another file's metadata and tokenizer, with few tensors in memory at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.model_file import ModelFile, ValueType
from evaluator.support.atomic_files import whole_file

Bytes = npt.NDArray[np.uint8]

#: Metadata key of quantized files: a digest of the source, the types and the importance matrix.
FINGERPRINT_KEY = "quantize.fingerprint"
#: Not copied: they differ in the new file, which is never a part of a split model.
_REPLACED_KEYS = {
    "general.architecture",
    "general.file_type",
    "general.quantization_version",
    "general.alignment",
    "split.no",
    "split.count",
    "split.tensors.count",
}


def write_gguf(
    source: ModelFile,
    target: Path,
    file_type: gguf.LlamaFileType,
    types: Mapping[str, GGMLType],
    bytes_of: Callable[[str], Bytes],
    added: Mapping[str, str | int] | None = None,
) -> None:
    """Write `target` atomically.

    Args:
        source: the model that metadata, tokenizer and shapes are copied from.
        target: the new file.
        file_type: `general.file_type` of the new file.
        types: tensor name → new type, in the order of the new file.
        bytes_of: returns the encoded tensor of a name; called once for each, in order.
        added: metadata keys to add or replace, with a text or a count.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as partial, closing(gguf.GGUFWriter(str(partial), source.architecture)) as writer:
        _write_header(writer, source, file_type, types, added or {})
        _write_tensors(writer, (bytes_of(name) for name in types))


def header_bytes(source: ModelFile) -> int:
    """Return the bytes of a file that `write_gguf` makes from `source`, without tensors, padding and added keys."""
    types = dict.fromkeys(source.tensors, GGMLType.F32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "header.gguf"
        with closing(gguf.GGUFWriter(str(path), source.architecture)) as writer:
            _write_header(writer, source, gguf.LlamaFileType.ALL_F32, types, {})
        return path.stat().st_size


def _write_header(
    writer: gguf.GGUFWriter,
    source: ModelFile,
    file_type: gguf.LlamaFileType,
    types: Mapping[str, GGMLType],
    added: Mapping[str, str | int],
) -> None:
    """Write all that comes before the tensors; the arguments are those of `write_gguf`."""
    for key, value in source.metadata.items():
        if key not in _REPLACED_KEYS and key not in added:
            _copy_value(writer, key, value, source.value_types[key])
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for key, value in added.items():
        (writer.add_string if isinstance(value, str) else writer.add_uint32)(key, value)
    for name, kind in types.items():
        shape = source.tensors[name].shape_without_leading_ones
        block, size = gguf.GGML_QUANT_SIZES[kind]
        n_bytes = source.tensors[name].n_elements // block * size
        writer.add_tensor_info(name, shape, np.dtype(np.float32), n_bytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()


def _write_tensors(writer: gguf.GGUFWriter, tensors: Iterable[Bytes]) -> None:
    """Write each tensor while the next one is computed."""
    pending: Future[None] | None = None
    with ThreadPoolExecutor(1) as executor:
        for tensor in tensors:
            if pending:
                pending.result()
            pending = executor.submit(writer.write_tensor_data, tensor)
        if pending:
            pending.result()


def _copy_value(writer: gguf.GGUFWriter, key: str, value: Any, kind: ValueType) -> None:
    plain = value.tolist() if isinstance(value, np.ndarray) else value
    item = None if kind.item is None else gguf.GGUFValueType(kind.item)
    writer.add_key_value(key, plain, gguf.GGUFValueType(kind.value), item)
