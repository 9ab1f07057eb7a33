"""Numbers and devices in words."""

import pytest
from results_factory import _manifest

from dashboard.style import formats
from evaluator.results.manifest import Machine, Precision


@pytest.mark.parametrize(
    ("device", "precisions", "text"),
    [
        ("cpu", {}, "CPU (Fast Chip)"),
        ("cpu", {"cuda": "float16"}, "CPU (Fast Chip)"),
        ("cuda", {"cuda": "float32"}, "CUDA (Big GPU)"),
        ("cuda", {"cuda": "float16"}, "CUDA (Big GPU), half precision"),
    ],
)
def test_a_device_with_its_own_chip(device: str, precisions: dict[str, Precision], text: str) -> None:
    machine = Machine(
        platform="Linux", cpu="Fast Chip", logical_cores=2, memory_bytes=1, gpus=["Big GPU", "Big GPU"]
    )
    manifest = _manifest(8, 4).model_copy(
        update={"device": device, "machine": machine, "precisions": precisions}
    )
    assert formats.device(manifest) == text
