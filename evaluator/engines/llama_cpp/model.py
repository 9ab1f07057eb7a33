"""A GGUF file in llama.cpp: its vocabulary, and contexts that compute logits.

The library ends its process on some broken files: use these classes in a process that does nothing else.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from evaluator.engines.llama_cpp.library import LogCallback, llama_library, model_params
from evaluator.engines.llama_cpp.settings import CACHE_TYPES, FLASH_ATTENTION, Settings
from evaluator.support.errors import EvaluatorError

Values = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

#: Level of errors in llama.cpp's log.
_ERROR = 4


def print_errors(level: int, text: bytes, _: object) -> None:
    """Print a part of llama.cpp's log to stderr if it is an error."""
    if level == _ERROR:
        sys.stderr.write(text.decode(errors="replace"))
        sys.stderr.flush()


class KeptLog:
    """The parts of llama.cpp's log since the last look; errors are printed too."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, level: int, text: bytes, data: object) -> None:
        """Keep a part."""
        print_errors(level, text, data)
        self._parts.append(text.decode(errors="replace"))

    def take(self) -> str:
        """Return the parts, and forget them."""
        text = "".join(self._parts)
        self._parts.clear()
        return text


class LlamaModel:
    """A model; use it in `with`."""

    def __init__(
        self,
        path: str,
        *,
        vocabulary_only: bool = False,
        simulated: bool = False,
        n_gpu_layers: str = "none",
        log: Callable[[int, bytes, object], None] = print_errors,
    ) -> None:
        """Load a file, or, if `simulated`, only what its sizes depend on; `log` takes levels and parts of lines.

        Raises:
            EvaluatorError: there is no library, or it does not load the file; its log on stderr says why.
        """
        self.library = llama_library()
        self._log = LogCallback(log)  # the library keeps no reference
        self.library.llama_log_set(self._log, None)
        params = model_params(vocabulary_only=vocabulary_only, simulated=simulated, n_gpu_layers=n_gpu_layers)
        self.handle = self.library.llama_model_load_from_file(os.fsencode(path), params)
        if not self.handle:
            raise EvaluatorError("llama.cpp does not load it")
        self._vocabulary = self.library.llama_model_get_vocab(self.handle)
        self.n_tokens = int(self.library.llama_vocab_n_tokens(self._vocabulary))
        self.n_bytes = int(self.library.llama_model_size(self.handle))
        # Unsigned in the file, and a signed number here.
        self.trained_context = int(self.library.llama_model_n_ctx_train(self.handle)) % (1 << 32)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.library.llama_model_free(self.handle)

    @property
    def bos_id(self) -> int | None:
        """The token put before texts; None if none is."""
        if not self.library.llama_vocab_get_add_bos(self._vocabulary):
            return None
        return int(self.library.llama_vocab_bos(self._vocabulary))

    def tokenize(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Return the ids of a text without special tokens before or after; may recognize control tokens in it."""
        content = text.encode()
        buffer = (ctypes.c_int32 * (len(content) + 8))()
        count = self.library.llama_tokenize(
            self._vocabulary, content, len(content), buffer, len(buffer), False, parse_special
        )
        return list(buffer[:count])


class LlamaContext:
    """A sequence of tokens that a model computes; use it in `with`.

    Attributes:
        length: tokens in the cache.
    """

    def __init__(self, model: LlamaModel, capacity: int, settings: Settings) -> None:
        """Make room for `capacity` tokens.

        Raises:
            EvaluatorError: llama.cpp makes no context, for instance because its memory does not suffice.
        """
        self._model, self._library, self.length = model, model.library, 0
        params = self._library.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = capacity, settings.batch, settings.ubatch
        params.n_threads = params.n_threads_batch = settings.threads
        params.flash_attention = FLASH_ATTENTION[settings.flash_attention]
        params.type_k = params.type_v = CACHE_TYPES[settings.cache]
        params.swa_full = False  # as in llama.cpp's programs: layers with a window keep only that
        self._handle = self._library.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise EvaluatorError("llama.cpp makes no context")
        # As many tokens as it computes at a time, so that no more logits than theirs are held.
        self._step = min(settings.batch, settings.ubatch)
        self._batch = self._library.llama_batch_init(self._step, 0, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.llama_batch_free(self._batch)
        self._library.llama_free(self._handle)

    @property
    def cache_bytes(self) -> int:
        """Bytes of the sequence in the cache."""
        return int(self._library.llama_state_seq_get_size(self._handle, 0))

    def clear(self) -> None:
        """Forget all tokens."""
        self._library.llama_memory_clear(self._library.llama_get_memory(self._handle), True)
        self.length = 0

    def advance(self, ids: Ids | Sequence[int]) -> None:
        """Append tokens, int32 [n], of which only the last one's logits are computed.

        Raises:
            EvaluatorError: an id is not in the vocabulary, or llama.cpp does not compute them.
        """
        for start in range(0, len(ids), self._step):
            part = ids[start : start + self._step]
            self._decode(part, (len(part) - 1 if start + len(part) == len(ids) else len(part)), len(part))
        self._library.llama_synchronize(self._handle)

    def logits(self, ids: Ids | Sequence[int], first: int, stop: int) -> Iterator[Values]:
        """Append tokens, int32 [n], and yield the logits at `first` ≤ position < `stop`, float32 [rows, vocabulary].

        Positions count within `ids`. Arrays are overwritten by the next.

        Raises:
            EvaluatorError: an id is not in the vocabulary, or llama.cpp does not compute them.
        """
        for start in range(0, len(ids), self._step):
            part = ids[start : start + self._step]
            low, high = (min(max(place - start, 0), len(part)) for place in (first, stop))
            self._decode(part, low, high)
            if high > low:
                values = self._library.llama_get_logits(self._handle)
                yield np.ctypeslib.as_array(values, (high - low, self._model.n_tokens))

    def _decode(self, ids: Ids | Sequence[int], first: int, stop: int) -> None:
        """Append tokens and compute the logits of those from `first` to before `stop`."""
        self._check(ids)
        batch = self._batch
        batch.n_tokens = len(ids)
        for place, token in enumerate(ids):
            batch.token[place], batch.pos[place] = int(token), self.length + place
            batch.logits[place] = first <= place < stop
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
        if status := self._library.llama_decode(self._handle, batch):
            raise EvaluatorError(f"llama_decode returns {status}")
        self.length += len(ids)

    def _check(self, ids: Ids | Sequence[int]) -> None:
        low, high = int(min(ids)), int(max(ids))
        if low < 0 or high >= self._model.n_tokens:
            raise EvaluatorError(
                f"ids from {low} to {high}, but its vocabulary holds {self._model.n_tokens} in llama.cpp"
            )
