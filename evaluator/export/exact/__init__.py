"""The graph of a model, its exact float32 weights, and the model exported with them."""
