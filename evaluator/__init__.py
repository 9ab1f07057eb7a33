"""Measures quantized language models: GGUF in, onnxruntime in the middle, Polars frames out."""
