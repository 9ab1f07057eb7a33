"""Open a graph whose weights are references, with values in their place."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from evaluator.runtime.session import Session


def filled(model, device, weights):
    """Return a session of `model` in which initializers have the values of the dictionary `weights`."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for item in copy.graph.initializer:
        if item.name in weights:
            item.CopyFrom(numpy_helper.from_array(weights[item.name], item.name))
    return Session(copy, device)
