"""Score final hidden states with a model's head, a slice of the vocabulary at a time for all tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.models.architectures import head_tensor, logit_softcap
from evaluator.models.model_file import ModelFile, RowReader
from evaluator.runtime import score_graph as names
from evaluator.runtime.device import Device
from evaluator.runtime.piece_weights import read_ahead
from evaluator.runtime.session import Session

Values = npt.NDArray[np.float32]

#: Vocabulary tokens and rows that logits are computed for at a time: 4 MiB, which fits into a processor's caches; on
#: a GPU 64 MiB (at most half a GiB with all intermediate arrays), large enough to keep it busy.
_SLICE_TOKENS, _BLOCK_ROWS = 2048, 512
_SLICE_ON_GPU, _BLOCK_ON_GPU = 16_384, 1024


@dataclass(frozen=True)
class WindowScores:
    """Per scored token: float32 [n] arrays, `same_top` bool [n]; the last two None for a baseline."""

    nll: Values
    top_prob: Values
    kld: Values | None
    same_top: npt.NDArray[np.bool_] | None

    def split(self, places: npt.NDArray[np.integer]) -> list[WindowScores]:
        """Cut before each of `places`, as `numpy.split` does."""
        columns = (self.nll, self.top_prob, self.kld, self.same_top)
        nothing = [None] * (len(places) + 1)
        parts = (nothing if values is None else np.split(values, places) for values in columns)
        return [WindowScores(*part) for part in zip(*parts, strict=True)]


@dataclass(frozen=True)
class HeadRows:
    """An output matrix [vocabulary, hidden], of which rows are read when they are needed.

    Attributes:
        vocabulary: number of its rows.
        width: number of its columns.
        read: function from (start, stop) to these rows, float32.
    """

    vocabulary: int
    width: int
    read: RowReader

    @classmethod
    def of(cls, file: ModelFile) -> HeadRows:
        """Return a file's output matrix.

        Raises:
            SourceError: it has none.
        """
        name = head_tensor(file)
        vocabulary, width = file.tensor(name).shape
        return cls(vocabulary, width, file.row_reader(name))


class Head:
    """A model's head, with the baseline's beside it to compute divergences.

    Without a head of its own, `score` takes a variant's logits in place of its hidden states.
    """

    def __init__(
        self,
        variant: HeadRows | None,
        baseline: HeadRows | None,
        device: Device,
        softcap: float | None = None,
    ) -> None:
        """Open the score graph on a device; `softcap` bounds logits in families that do so.

        At least one of both heads is needed.
        """
        heads = {names.VARIANT_HEAD: variant, names.BASELINE_HEAD: baseline}
        self._heads = {name: head for name, head in heads.items() if head is not None}
        first = next(iter(self._heads.values()))
        self._given = variant is None
        self._vocabulary, self._width = first.vocabulary, first.width
        self._session = Session(
            names.score_graph(against_baseline=baseline is not None, softcap=softcap, given=self._given),
            device,
        )
        on_gpu = device.name == "cuda"
        self._tokens, self._rows = (_SLICE_ON_GPU, _BLOCK_ON_GPU) if on_gpu else (_SLICE_TOKENS, _BLOCK_ROWS)

    @property
    def n_weights(self) -> int:
        """Number of weights that every token is multiplied by."""
        return len(self._heads) * self._vocabulary * self._width

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""
        return self._vocabulary

    @classmethod
    def of_logits(cls, reference: ModelFile, device: Device) -> Head:
        """Return the head that scores logits against the distributions of `reference`.

        Raises:
            SourceError: the head cannot be read.
        """
        return cls(None, HeadRows.of(reference), device, logit_softcap(reference))

    @classmethod
    def of(cls, file: ModelFile, baseline: ModelFile | None, device: Device) -> Head:
        """Return the head of `file`.

        Raises:
            SourceError: a head cannot be read.
        """
        reference = HeadRows.of(baseline) if baseline is not None else None
        return cls(HeadRows.of(file), reference, device, logit_softcap(file))

    def score(
        self,
        hidden: Values,
        targets: npt.NDArray[np.int32],
        baseline: Values | None,
        advance: Callable[[float], None] = lambda _: None,
    ) -> WindowScores:
        """Score hidden states, float32 [rows, hidden], with the baseline's for the same tokens.

        Args:
            hidden: final hidden states; may be mapped from a file. Logits, float32 [rows, vocabulary], if this head
                has no variant's.
            targets: the token that each row predicts.
            baseline: the baseline's hidden states, if and only if its head was given.
            advance: called with the share that is done, from 0 to 1.

        Raises:
            SourceError: a head cannot be read.
            ComputeError: onnxruntime failed.
        """
        slices = names.Slices(len(targets), against_baseline=baseline is not None)
        owners, places = np.divmod(targets.astype(np.int64), self._tokens)
        starts = range(0, self._vocabulary, self._tokens)
        for number, (start, heads) in enumerate(read_ahead(starts, self._read), 1):
            owned = owners == start // self._tokens
            here = np.where(owned, places, 0)[:, None]
            own = hidden[:, start : start + self._tokens] if self._given else hidden
            for rows in self._blocks(len(targets)):
                first = names.VARIANT_LOGITS if self._given else names.VARIANT_HIDDEN
                values = {first: own, names.BASELINE_HIDDEN: baseline, names.TARGETS: here}
                inputs = {
                    name: self._session.resident(np.asarray(item[rows]))
                    for name, item in values.items()
                    if item is not None
                }
                outputs = self._session.run(inputs | heads)
                slices.add(rows, dict(zip(self._session.output_names, outputs, strict=True)), owned[rows])
            advance(number / len(starts))
        scores = slices.scores(self._vocabulary)
        nll, top_prob = scores.nll.astype(np.float32), scores.top_prob.astype(np.float32)
        kld = None if scores.kld is None else scores.kld.astype(np.float32)
        return WindowScores(nll, top_prob, kld, scores.same_top)

    def _read(self, start: int) -> dict[str, ort.OrtValue]:
        """Place the slice that begins with token `start` on the device."""
        stop = min(start + self._tokens, self._vocabulary)
        return {name: self._session.resident(head.read(start, stop)) for name, head in self._heads.items()}

    def _blocks(self, n_rows: int) -> Iterator[slice]:
        return (slice(start, start + self._rows) for start in range(0, n_rows, self._rows))
