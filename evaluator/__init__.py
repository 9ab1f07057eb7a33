"""Measure quantized language models: model files in, onnxruntime in the middle, Polars frames out."""
