"""From a model file to ONNX: the graph once per shape, then each variant's weights."""
