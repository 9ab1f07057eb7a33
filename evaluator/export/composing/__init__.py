"""Build the pieces of a model from the description of its layers, with the operators of onnxruntime."""
