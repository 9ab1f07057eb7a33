"""Cut texts into windows of tokens, according to the protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from evaluator.models.tokenizers.tokenizer import TextTokenizer
from evaluator.results.manifest import Protocol, TextRecord
from evaluator.support.errors import RequestError
from evaluator.texts.chat import encode_with_control
from evaluator.texts.sources import Text


@dataclass(frozen=True)
class Window:
    """A window of a text: `ids` int32 [context]; logits at `first_scored` … context − 2 predict `targets`."""

    index: int
    domain: str
    ids: npt.NDArray[np.int32]
    first_scored: int

    @property
    def targets(self) -> npt.NDArray[np.int32]:
        """The predicted tokens, int32 [context − 1 − first_scored]."""
        return self.ids[self.first_scored + 1 :]

    @property
    def positions(self) -> npt.NDArray[np.uint16]:
        """Positions of the predicted tokens in the window, uint16."""
        return np.arange(self.first_scored + 1, len(self.ids), dtype=np.uint16)


def n_scored(windows: Iterable[Window]) -> int:
    """Return the number of scored tokens in all windows."""
    return sum(len(window.targets) for window in windows)


def spread(n: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most `most` of the indices below `n`, spread as evenly as possible."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def token_ids(text: Text, tokenizer: TextTokenizer, limit: int | None) -> npt.NDArray[np.int32]:
    """Return a text's token ids without BOS, int32 [n]: all, or the first `limit` of them.

    Control tokens in chats get their own ids.
    """
    return encode_with_control(tokenizer, text.content, text.control, limit)


def cut_windows(
    texts: Sequence[Text],
    tokenizer: TextTokenizer,
    protocol: Protocol,
    chunks_of: Mapping[str, int] = MappingProxyType({}),
    advice: str = "use a longer text or a smaller --context",
) -> tuple[list[Window], list[TextRecord]]:
    """Return the windows of all texts in order, and a record of each text.

    Windows get the ids that the text as a whole has; with a number of chunks, no more of it is tokenized than they
    need. They do not overlap, and an incomplete one at the end is dropped. If the model adds BOS, it replaces the
    first token of each window, as in llama-perplexity.

    Args:
        texts: the texts.
        tokenizer: the model's tokenizer.
        protocol: length of windows, and their greatest number per text.
        chunks_of: domain → greatest number of windows of its text, instead of the protocol's.
        advice: what to do about a text that is shorter than one window.

    Raises:
        RequestError: a domain has no text, a text is shorter than one window, or given twice.
    """
    windows: list[Window] = []
    records: list[TextRecord] = []
    places: dict[str, str] = {}
    domains = [text.domain for text in texts]
    if unknown := next((domain for domain in chunks_of if domain not in domains), None):
        raise RequestError(
            f"chunks_of: there is no text of domain {unknown} (there are {', '.join(domains)})"
        )
    for text in texts:
        chunks = chunks_of.get(text.domain, protocol.chunks)
        limit = chunks * protocol.context if chunks else None
        place = text.path or text.name
        if twin := places.get(text.sha256):
            same = "given twice" if twin == place else f"the same text as {twin}"
            raise RequestError(f"{place}: {same}; its tokens would count twice")
        places[text.sha256] = place
        ids = token_ids(text, tokenizer, limit)
        count = len(ids) // protocol.context
        if count == 0:
            needed = f"one window needs {protocol.context}"
            raise RequestError(f"{text.name}: {len(ids)} tokens, {needed}; {advice}")
        for rows in ids[: count * protocol.context].reshape(count, protocol.context):
            chunk = rows.copy()
            if tokenizer.bos_id is not None:
                chunk[0] = tokenizer.bos_id
            windows.append(Window(len(windows), text.domain, chunk, protocol.first_scored))
        records.append(
            TextRecord(
                domain=text.domain,
                name=text.name,
                sha256=text.sha256,
                n_bytes=len(text.content.encode()),
                n_tokens=None if len(ids) == limit else len(ids),
                windows=count,
            )
        )
    return windows, records
