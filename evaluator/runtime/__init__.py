"""Run graphs in onnxruntime: devices, sessions, scoring, decoding, timing."""
