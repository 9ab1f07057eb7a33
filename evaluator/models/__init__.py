"""Open model files: GGUF and Hugging Face checkpoints behind one interface."""
