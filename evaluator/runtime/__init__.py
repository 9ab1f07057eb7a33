"""onnxruntime: devices, sessions and the scoring of windows."""
