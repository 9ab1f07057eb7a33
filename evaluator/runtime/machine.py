"""What a result was measured on: packages, processor, memory, GPU, revision."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
from pathlib import Path

import psutil

from evaluator.results.manifest import Machine
from evaluator.runtime.device import usable_cores

#: Bytes that a container on Linux may take, or "max".
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
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
)


def package_versions() -> dict[str, str]:
    """Versions of the packages that a number may depend on; absent ones are left out."""
    versions: dict[str, str] = {}
    for name in _RECORDED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def describe_machine() -> Machine:
    """The machine as a reader of the results needs to know it."""
    return Machine(
        platform=platform.platform(),
        cpu=_cpu_name(),
        logical_cores=usable_cores(),
        memory_bytes=psutil.virtual_memory().total,
        gpus=gpu_names(),
        power=_power(),
    )


def free_memory() -> int:
    """Bytes that this process may still take: what the machine has available, or its container allows."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = _CONTAINER_LIMIT.read_text().strip()
    except OSError:  # no container, or not this kind of system
        return free
    if not limit.isdecimal():
        return free
    return min(free, max(0, int(limit) - int(psutil.Process().memory_info().rss)))


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _power() -> str | None:
    """Where the current comes from: processors are slower on batteries."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is None or battery.power_plugged is None:
        return None
    return "mains" if battery.power_plugged else "battery"


def _output(command: list[str], folder: Path | None = None) -> str | None:
    """First output of a command, None where it is absent or fails."""
    if shutil.which(command[0]) is None:
        return None
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    return result.stdout.strip() if result.returncode == 0 else None


def gpu_names() -> list[str]:
    """Names of all GPUs of the machine, as far as the driver's tool tells them."""
    listing = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    return listing.splitlines() if listing else []


def git_revision() -> str | None:
    """Revision of the checkout this package runs from, `-dirty` when it has changes; None when installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    return _output(["git", "describe", "--always", "--dirty", "--abbrev=12"], root)
