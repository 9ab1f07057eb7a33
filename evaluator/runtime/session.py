"""onnxruntime sessions whose weights are handed over in memory, without a copy on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from evaluator.runtime.device import Device
from evaluator.support.errors import ComputeError

Array = npt.NDArray[np.generic]
_ERRORS_AND_WORSE = 3
_FLOAT32 = "tensor(float)"
_FLOATS = {_FLOAT32: np.float32, "tensor(float16)": np.float16}
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """Tell onnxruntime's failures from all others: its exceptions have no common base.

    Raises:
        ComputeError: in place of one of them.
    """
    try:
        yield
    except Exception as error:
        raise ComputeError(f"onnxruntime: {error}") from error


class Session:
    """An onnxruntime session together with the buffers that it reads its weights from."""

    def __init__(
        self,
        model: Path | onnx.ModelProto,
        device: Device,
        weights: Iterable[tuple[str, Array]] = (),
        folder: Path | None = None,
    ) -> None:
        """Open `model` with `weights` (initializer, values) in place of its external data.

        Args:
            model: a file, or a model in memory.
            device: where it runs.
            weights: values of initializers.
            folder: where the external data of a model in memory lie.

        Raises:
            ComputeError: onnxruntime does not open it, or does not run on the device.
        """
        self._device = device
        options = ort.SessionOptions()
        options.intra_op_num_threads = device.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_AND_WORSE
        # onnxruntime may read these buffers in place (no second copy): they must live as long as the session.
        self._buffers = {
            name: ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(v)) for name, v in weights
        }
        self._hand_over(options)
        if folder:
            options.add_session_config_entry(_EXTERNAL_FOLDER, str(folder))
        source = str(model) if isinstance(model, Path) else model.SerializeToString()
        with _told_apart():
            # Its fallback would print a banner on stdout and run on the CPU, whatever was to be measured.
            self._session = ort.InferenceSession(
                source, options, providers=device.providers, enable_fallback=0
            )
        self.provider = str(self._session.get_providers()[0])
        if self.provider != device.provider:
            raise ComputeError(
                f"onnxruntime runs on {self.provider} where {device.provider} was asked for; "
                "use --device cpu, or repair its CUDA libraries"
            )
        self.input_names = [item.name for item in self._session.get_inputs()]
        self.output_names = [item.name for item in self._session.get_outputs()]

    def _hand_over(self, options: ort.SessionOptions) -> None:
        """Give onnxruntime the weights.

        What is added as initializers is read in place, but reaches neither a GPU nor a rewriting of the graph that
        converts weights: both take what lies in the external data. External initializers are put in before either
        happens. That copies what is not rearranged for products anyway, so float32 on the CPU does without.
        """
        in_place = all(buffer.data_type() == _FLOAT32 for buffer in self._buffers.values())
        if self._device.name == "cpu" and in_place:
            for name, buffer in self._buffers.items():
                options.add_initializer(name, buffer)
        elif self._buffers:
            options.add_external_initializers(list(self._buffers), list(self._buffers.values()))

    def resident(self, values: Array) -> ort.OrtValue:
        """`values` placed on the session's device once, to be passed to many runs."""
        device = self._device
        return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), device.memory, device.index)

    def run(self, inputs: Mapping[str, Array | ort.OrtValue]) -> list[Array]:
        """All outputs, in the graph's order, on the host.

        Raises:
            ComputeError: onnxruntime fails.
        """
        feed = {
            name: value if isinstance(value, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(value)
            for name, value in inputs.items()
        }
        with _told_apart():
            return [output.numpy() for output in self._session.run_with_ort_values(self.output_names, feed)]

    def dimension(self, name: str, axis: int) -> int:
        """A dimension of an input or output that does not vary."""
        return int(self._declared(name).shape[axis])

    def dtype(self, name: str) -> np.dtype[np.generic]:
        """The type of an input or output of floats."""
        return np.dtype(_FLOATS[self._declared(name).type])

    def _declared(self, name: str) -> Any:
        items = [*self._session.get_inputs(), *self._session.get_outputs()]
        return next(item for item in items if item.name == name)

    def binding(self) -> ort.IOBinding:
        """An empty set of inputs and outputs that can stay in place from run to run."""
        return self._session.io_binding()

    def run_bound(self, binding: ort.IOBinding) -> None:
        """Compute from and into what `binding` holds; all of it is there on return, on whatever device."""
        with _told_apart():
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()
