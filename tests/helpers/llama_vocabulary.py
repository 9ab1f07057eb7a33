"""Tokenize with a file's vocabulary in llama.cpp, through the library inside the package `xllamacpp`.

The library ends its process on some broken files, so it runs in a separate process:
`python llama_vocabulary.py FILE …` reads the request on stdin and prints an answer per file, both as JSON.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The id that stands for no token.
NO_TOKEN = -1
#: Larger than `llama_model_params`; structures of this size are passed in memory, whatever their content.
_PARAMS_BYTES = 1024
#: Positions in it: of `vocab_only`, and of the first flag that is set by default, `use_extra_bufts`.
_VOCAB_ONLY, _FIRST_SET = 72, 74


@dataclass(frozen=True)
class LlamaVocabulary:
    """`bos_id` is the token put before texts, or None; `ids`, per text, are without special tokens.

    `seconds` is how long each text took.
    """

    bos_id: int | None
    ids: list[list[int]]
    seconds: list[float]


def llama_vocabulary(path: Path, texts: Sequence[str], *, parse_special: bool = False) -> LlamaVocabulary:
    """Tokenize texts with llama.cpp; `parse_special` recognizes control tokens in them."""
    (answer,) = llama_vocabularies([path], texts, parse_special=parse_special)
    return answer


def llama_vocabularies(
    paths: Sequence[Path], texts: Sequence[str], *, parse_special: bool = False
) -> list[LlamaVocabulary]:
    """Tokenize the same texts with the vocabulary of each file."""
    request = json.dumps({"texts": list(texts), "parse_special": parse_special})
    answer = subprocess.run(
        [sys.executable, __file__, *map(str, paths)],
        input=request,
        capture_output=True,
        text=True,
        check=True,
    )
    return [LlamaVocabulary(**item) for item in json.loads(answer.stdout.splitlines()[-1])]


class _Params(ctypes.Structure):
    _fields_ = (("content", ctypes.c_ubyte * _PARAMS_BYTES),)


def _library() -> Any:
    package = importlib.util.find_spec("xllamacpp")
    assert package is not None
    assert package.origin is not None
    (module,) = Path(package.origin).parent.glob("xllamacpp*.so")
    library = ctypes.CDLL(str(module))
    pointer = ctypes.c_void_p
    library.llama_model_default_params.restype = _Params
    library.llama_model_load_from_file.restype = pointer
    library.llama_model_load_from_file.argtypes = (ctypes.c_char_p, _Params)
    library.llama_model_get_vocab.restype = pointer
    library.llama_model_get_vocab.argtypes = (pointer,)
    library.llama_vocab_get_add_bos.restype = ctypes.c_bool
    library.llama_vocab_get_add_bos.argtypes = library.llama_vocab_bos.argtypes = (pointer,)
    library.llama_tokenize.argtypes = (
        pointer,
        ctypes.c_char_p,
        ctypes.c_int32,
        ctypes.POINTER(ctypes.c_int32),
        ctypes.c_int32,
        ctypes.c_bool,
        ctypes.c_bool,
    )
    return library


def _answer(library: Any, path: str, texts: list[str], *, parse_special: bool) -> dict[str, Any]:
    params = library.llama_model_default_params()
    assert bytes(params.content[_VOCAB_ONLY : _FIRST_SET + 1]) == b"\0\0\1", (
        "another release: look up the positions"
    )
    params.content[_VOCAB_ONLY] = True
    model = library.llama_model_load_from_file(path.encode(), params)
    if not model:
        sys.exit(f"{path}: llama.cpp does not load it")
    vocabulary = library.llama_model_get_vocab(model)
    ids, seconds = [], []
    for text in texts:
        content = text.encode()
        buffer = (ctypes.c_int32 * (len(content) + 8))()
        start = time.perf_counter()
        count = library.llama_tokenize(
            vocabulary, content, len(content), buffer, len(buffer), False, parse_special
        )
        seconds.append(time.perf_counter() - start)
        ids.append(list(buffer[:count]))
    bos = library.llama_vocab_bos(vocabulary) if library.llama_vocab_get_add_bos(vocabulary) else None
    return {"bos_id": bos, "ids": ids, "seconds": seconds}


if __name__ == "__main__":
    request, library = json.loads(sys.stdin.read()), _library()
    sys.stdout.write(json.dumps([_answer(library, path, **request) for path in sys.argv[1:]]))
