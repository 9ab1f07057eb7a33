"""Open onnxruntime sessions and run them, with inputs and outputs in the device's memory."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from evaluator.export.fusion.uses import PAST_LENGTH
from evaluator.runtime.device import Device
from evaluator.support.errors import ComputeError

Array = npt.NDArray[np.generic]
_ERRORS_AND_WORSE = 3
_FLOAT32 = "tensor(float)"
_FLOATS = {_FLOAT32: np.float32, "tensor(float16)": np.float16}
_SPINNING = "session.intra_op.allow_spinning"
_SHARED_MEMORY = "session.use_env_allocators"
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"


@contextlib.contextmanager
def _onnxruntime_errors() -> Iterator[None]:
    """Turn onnxruntime's exceptions, which have no common base, into `ComputeError`.

    Raises:
        ComputeError: onnxruntime failed.
    """
    try:
        yield
    except Exception as error:
        raise ComputeError(f"onnxruntime: {error}") from error


@functools.cache
def _share_memory() -> None:
    """Let sessions on the CPU take memory from a common arena.

    An arena keeps what it has once taken. A pass runs one session after another, and the arena of each would keep
    what its piece needs.
    """
    info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(info, ort.OrtArenaCfg({}))


class Session:
    """An onnxruntime session on a device."""

    def __init__(
        self,
        model: Path | onnx.ModelProto | bytes,
        device: Device,
        folder: Path | None = None,
        *,
        alone: bool = False,
    ) -> None:
        """Open `model`.

        Args:
            model: a file, or a model in memory.
            device: where it runs.
            folder: where the external data of a model in memory is.
            alone: whether no other session runs meanwhile. Threads that wait for work then keep their core busy,
                which makes many short runs faster; several sessions would take the cores from each other.

        Raises:
            ComputeError: onnxruntime does not open it, or does not run on the device.
        """
        self._device = device
        options = ort.SessionOptions()
        options.intra_op_num_threads = device.threads
        options.inter_op_num_threads = 1
        if not alone:
            options.add_session_config_entry(_SPINNING, "0")
            if device.name == "cpu":
                _share_memory()
                options.add_session_config_entry(_SHARED_MEMORY, "1")
        options.log_severity_level = _ERRORS_AND_WORSE
        if folder:
            options.add_session_config_entry(_EXTERNAL_FOLDER, str(folder))
        source = str(model) if isinstance(model, Path) else model
        if isinstance(source, onnx.ModelProto):
            source = source.SerializeToString()
        with _onnxruntime_errors():
            # The fallback would print a banner on stdout and run on the CPU instead of the requested device.
            self._session = ort.InferenceSession(
                source, options, providers=device.providers, enable_fallback=0
            )
        self.provider = str(self._session.get_providers()[0])
        if self.provider != device.provider:
            raise ComputeError(
                f"onnxruntime runs on {self.provider} instead of {device.provider}; "
                "use --device cpu, or repair its CUDA libraries"
            )
        self.input_names = [item.name for item in self._session.get_inputs()]
        self.output_names = [item.name for item in self._session.get_outputs()]

    def resident(self, values: Array) -> ort.OrtValue:
        """Place `values` on the session's device, to be passed to many runs."""
        device = self._device
        return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), device.memory, device.index)

    def run(self, inputs: Mapping[str, Array | ort.OrtValue]) -> list[Array]:
        """Run the graph and return all outputs in its order, on the host.

        Raises:
            ComputeError: onnxruntime fails.
        """
        feed = {
            name: value if isinstance(value, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(value)
            for name, value in inputs.items()
        }
        with _onnxruntime_errors():
            return [output.numpy() for output in self._session.run_with_ort_values(self.output_names, feed)]

    def empty(self, shape: Sequence[int]) -> ort.OrtValue:
        """Allocate a float32 array on the session's device, to be written by `run_into`."""
        device = self._device
        return ort.OrtValue.ortvalue_from_shape_and_type(list(shape), np.float32, device.memory, device.index)

    def run_into(
        self, inputs: Mapping[str, Array | ort.OrtValue], outputs: Mapping[str, ort.OrtValue | None]
    ) -> dict[str, ort.OrtValue]:
        """Run the graph and write outputs in place.

        Args:
            inputs: all inputs.
            outputs: the outputs wanted, each with the array to write, or None to allocate one on the device.

        Raises:
            ComputeError: onnxruntime fails.
        """
        binding = self._session.io_binding()
        for name, value in inputs.items():
            held = value if isinstance(value, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(value)
            binding.bind_ortvalue_input(name, held)
        for name, target in outputs.items():
            if target is None:
                binding.bind_output(name, self._device.memory, self._device.index)
            else:
                binding.bind_ortvalue_output(name, target)
        self.run_bound(binding)
        return dict(zip(outputs, binding.get_outputs(), strict=True))

    def dimension(self, name: str, axis: int) -> int:
        """Return a fixed dimension of an input or output."""
        return int(self._declared(name).shape[axis])

    def empty_past(self, name: str, length: int) -> Array:
        """Return zeros for an input that holds what came before one sequence.

        Args:
            name: past keys or values, or a past state.
            length: room for the keys and values of this many tokens.
        """
        dimensions = self._declared(name).shape[1:]
        shape = [length if isinstance(size, str) else size for size in dimensions]
        return np.zeros([1, *shape], self.dtype(name))

    def grows(self, name: str) -> bool:
        """Return whether an input that holds what came before grows with every token."""
        return PAST_LENGTH in self._declared(name).shape

    def dtype(self, name: str) -> np.dtype[np.generic]:
        """Return the type of a floating-point input or output."""
        return np.dtype(_FLOATS[self._declared(name).type])

    def _declared(self, name: str) -> Any:
        items = [*self._session.get_inputs(), *self._session.get_outputs()]
        return next(item for item in items if item.name == name)

    def binding(self) -> ort.IOBinding:
        """Return an empty binding, whose inputs and outputs stay in place between runs."""
        return self._session.io_binding()

    def run_bound(self, binding: ort.IOBinding) -> None:
        """Run with the inputs and outputs of `binding`, and wait until the outputs are computed."""
        with _onnxruntime_errors():
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()
