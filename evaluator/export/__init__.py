"""Turn a model file into ONNX: the graph once per shape, then each variant's weights."""
