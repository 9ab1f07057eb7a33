"""Sizes that a file shall have: gigabytes, bits per weight, or those of another file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evaluator.models.gguf.writer import header_bytes
from evaluator.models.model_file import ModelFile
from evaluator.models.sources.hub import Hub
from evaluator.models.sources.hub_source import PREFIX as HUB_PREFIX
from evaluator.models.sources.hub_source import HubSource, Report, silent
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_one
from evaluator.quantize.like import PREFIX as LIKE_PREFIX
from evaluator.quantize.recipe import Choice, choices
from evaluator.quantize.type_plan import make_plan
from evaluator.quantize.variants import planned_bytes
from evaluator.support.errors import RequestError, SourceError
from evaluator.support.units import GIGABYTE, MOST_MEMORY

#: Bytes kept free for the metadata that are added to the source's, and for padding.
_ADDED_METADATA = 4096


@dataclass(frozen=True)
class Target:
    """A size that no file made for it exceeds; exactly one is given.

    Attributes:
        gigabytes: of the file.
        bits: per weight, over all tensors.
        file: SRC of a file that is not exceeded.
    """

    gigabytes: float | None = None
    bits: float | None = None
    file: str | None = None

    @classmethod
    def requested(cls, gigabytes: float | None, bits: float | None, file: str | None) -> Target | None:
        """Return the target that flags name, None without one.

        Raises:
            RequestError: there is more than one, or a size is not positive or beyond every machine.
        """
        flags = {"--target-size": gigabytes, "--target-bpw": bits, "--target-file": file}
        given = [flag for flag, value in flags.items() if value is not None]
        if len(given) > 1:
            raise RequestError(f"{' and '.join(given)}: give one of them")
        for flag, value in flags.items():
            if isinstance(value, float) and not 0 < value <= MOST_MEMORY:
                raise RequestError(f"{flag} {value:g}: must be a positive number of at most {MOST_MEMORY:g}")
        return cls(gigabytes, bits, file) if given else None

    @property
    def asked(self) -> str:
        """The flag with its value, as typed."""
        if self.file is not None:
            return f"--target-file {self.file}"
        return f"--target-size {self.gigabytes:g}" if self.bits is None else f"--target-bpw {self.bits:g}"

    def tensor_bytes(self, source: ModelFile) -> int:
        """Return the bytes that all tensors of a file made from `source` may take.

        Raises:
            RequestError: the file to compare with cannot be read, or nothing would be left for tensors.
        """
        if self.bits is not None:
            return int(source.n_params * self.bits / 8)
        n_bytes = round((self.with_size().gigabytes or 0) * GIGABYTE)
        left = n_bytes - header_bytes(source) - _ADDED_METADATA
        if left <= 0:
            raise RequestError(
                f"the target, {n_bytes / GIGABYTE:g} GB, is smaller than the metadata of {source.path}"
            )
        return left

    def with_size(self, report: Report = silent, hub: Hub | None = None) -> Target:
        """Return this target with the size of its file in place of the file; one on the hub is not downloaded.

        Args:
            report: called with a line about each request.
            hub: the hub to ask.

        Raises:
            RequestError: the file cannot be read, or SRC names none or several.
        """
        if self.file is None:
            return self
        try:
            if self.file.startswith(HUB_PREFIX):
                n_bytes = (hub or Hub()).size_bytes(HubSource.parse(self.file), report)
            else:
                n_bytes = open_model(resolve_one(self.file, report)).size_bytes
        except (RequestError, SourceError) as error:
            raise RequestError(f"--target-file {error}") from error
        return Target(gigabytes=n_bytes / GIGABYTE)


def choice_for(
    recipe: str, target: Target, source: ModelFile, importance: Mapping[str, object] | None
) -> Choice:
    """Return a choice of types for a target, with the `file_type` of the stock mixture that is nearest in size.

    Args:
        recipe: a recipe that is based on divergence.
        target: the size.
        source: the model.
        importance: tensor name → importances; None without an importance matrix.

    Raises:
        RequestError: the recipe has fixed sizes, or that of a file it follows, or the target cannot be read.
    """
    if recipe.startswith(LIKE_PREFIX):
        raise RequestError(f"--recipe {recipe}: the file names its size; leave {target.asked} out")
    known = choices(recipe).values()
    quantized = [choice for choice in known if choice.candidates and choice.sensitivity == "divergence"]
    if not quantized:
        raise RequestError(f"recipe {recipe} has fixed sizes: name them with --types, or use --recipe guided")
    n_bytes = target.tensor_bytes(source)
    sizes = {choice.label: _stock_bytes(choice, source, importance) for choice in quantized}
    nearest = min(quantized, key=lambda choice: abs(sizes[choice.label] - n_bytes))
    label = f"{8 * n_bytes / source.n_params:.2f}bpw"
    return nearest.model_copy(update={"label": label, "target": n_bytes, "asked": target.asked})


def _stock_bytes(choice: Choice, source: ModelFile, importance: Mapping[str, object] | None) -> float:
    """Return the bytes of a stock mixture's tensors; infinite if it needs importances that are missing."""
    try:
        plan = make_plan(source, choice, importance)
    except RequestError:
        return float("inf")
    return planned_bytes(source, plan)
