"""Files of `random_families` through this project and through llama.cpp, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import random_families
from llama_logits import logits_of_many
from numpy_llama import log_softmax
from passes import scores_of

from evaluator.export.exact.graph import load_graph
from evaluator.models.model_file import ModelFile
from evaluator.models.sources.open_model import open_model
from evaluator.runtime.device import choose_devices
from evaluator.runtime.head import Head
from evaluator.texts.windows import Window

#: Longer than every sliding window and original context of these files; the second half is scored.
IDS = np.random.default_rng(1).integers(1, random_families.VOCABULARY, (2, 128)).astype(np.int32)
START = IDS.shape[1] // 2


def keys(*names: str) -> list[str]:
    """Return the variants of these families, as `FAMILIES` names them."""
    return [key for key, name, _ in random_families.FAMILIES if name in names]


def differences(folder: Path, chosen: Sequence[str]) -> dict[str, float]:
    """Return variant → largest difference of nll in nats between this project and llama.cpp."""
    paths = {
        key: random_families.write(name, folder / f"{key}.gguf", **options)
        for key, name, options in random_families.FAMILIES
        if key in chosen
    }
    theirs = dict(zip(paths, logits_of_many(list(paths.values()), IDS), strict=True))
    return {
        key: float(abs(nll_of(open_model(path)) - _nll(theirs[key])).max()) for key, path in paths.items()
    }


def nll_of(file: ModelFile, ids: np.ndarray = IDS) -> np.ndarray:
    """Return this project's nll of the second half of windows, [windows, length / 2]."""
    (device,) = choose_devices("cpu", 1)
    windows = [Window(number, "", row, ids.shape[1] // 2) for number, row in enumerate(ids)]
    scores = scores_of(file, load_graph(file), device, windows, Head.of(file, None, device))
    return np.asarray([score.nll for score in scores])


def _nll(logits: np.ndarray) -> np.ndarray:
    """Return the nll of the second half of windows from logits, [windows, length, vocabulary]."""
    every = -log_softmax(logits[:, START:-1].astype(np.float64))
    return np.take_along_axis(every, IDS[:, START + 1 :, None], axis=2)[:, :, 0]
