"""Describe what a result is measured on: packages, processor, memory, GPUs, revision."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
from pathlib import Path

import psutil

from evaluator.results.manifest import Machine
from evaluator.support.threads import usable_cores

_RECORDED_PACKAGES = (
    "gguf",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "optimum",
    "optimum-onnx",
    "polars",
    "quantization-comparison",
    "tokenizers",
    "torch",
    "transformers",
    "xllamacpp",
)


def package_versions() -> dict[str, str]:
    """Return the versions of the installed packages that results may depend on."""
    versions: dict[str, str] = {}
    for name in _RECORDED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def describe_machine() -> Machine:
    """Describe the machine for the manifest."""
    return Machine(
        platform=platform.platform(),
        cpu=cpu_name(),
        logical_cores=usable_cores(),
        memory_bytes=psutil.virtual_memory().total,
        gpus=gpu_names(),
        power=_power(),
    )


def cpu_name() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _power() -> str | None:
    """Return "mains" or "battery", on which processors are slower; None if unknown."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is None or battery.power_plugged is None:
        return None
    return "mains" if battery.power_plugged else "battery"


def _output(command: list[str], folder: Path | None = None) -> str | None:
    """Return a command's output; None if it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return None
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    return result.stdout.strip() if result.returncode == 0 else None


def gpu_names() -> list[str]:
    """Return the names of the machine's GPUs according to nvidia-smi; none without it."""
    listing = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    return listing.splitlines() if listing else []


def git_revision() -> str | None:
    """Return the revision of the checkout this runs from, `-dirty` if it has changes; None if installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    return _output(["git", "describe", "--always", "--dirty", "--abbrev=12"], root)
