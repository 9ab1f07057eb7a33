"""Run graphs in onnxruntime: devices, sessions, passes layer by layer, scoring, decoding, timing."""
