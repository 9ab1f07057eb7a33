"""Writes GGUF files that carry another file's metadata and tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from evaluator.errors import SourceError
from evaluator.sources.model_file import ModelFile, ValueType

Values = npt.NDArray[np.float32]

#: Written anew for the new file.
_REPLACED_KEYS = {
    "general.architecture",
    "general.file_type",
    "general.quantization_version",
    "general.alignment",
}


def write_gguf(
    source: ModelFile,
    target: Path,
    file_type: gguf.LlamaFileType,
    type_of: Callable[[str, tuple[int, ...]], gguf.GGMLQuantizationType],
    values_of: Callable[[str], Values],
) -> None:
    """Write `target` with the tensors of `source`, each of the type and with the values that are asked for.

    The file appears whole or not at all.

    Args:
        source: where metadata, tokenizer and tensor names come from.
        target: the new file.
        file_type: `general.file_type` of the new file.
        type_of: (name, shape) → type of the new tensor.
        values_of: name → its values, float32.

    Raises:
        SourceError: a type cannot be quantized to here.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    writer = gguf.GGUFWriter(str(partial), source.architecture)
    try:
        for key, value in source.metadata.items():
            if key not in _REPLACED_KEYS:
                _copy_value(writer, key, value, source.value_types[key])
        writer.add_file_type(file_type)
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        for name, info in source.tensors.items():
            ggml_type = type_of(name, info.shape)
            writer.add_tensor(
                name, _encode(source.path, name, values_of(name), ggml_type), raw_dtype=ggml_type
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        partial.replace(target)
    finally:
        writer.close()
        partial.unlink(missing_ok=True)


def _copy_value(writer: gguf.GGUFWriter, key: str, value: Any, kind: ValueType) -> None:
    plain = value.tolist() if isinstance(value, np.ndarray) else value
    item = None if kind.item is None else gguf.GGUFValueType(kind.item)
    writer.add_key_value(key, plain, gguf.GGUFValueType(kind.value), item)


def _encode(path: Path, name: str, values: Values, ggml_type: gguf.GGMLQuantizationType) -> npt.NDArray[Any]:
    try:
        encoded: npt.NDArray[Any] = gguf.quantize(values, ggml_type)
    except NotImplementedError as error:
        raise SourceError(path, f"tensor {name}: quantizing to {ggml_type.name} is not supported") from error
    return encoded
