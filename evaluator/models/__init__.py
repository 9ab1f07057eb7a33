"""Open model files: GGUF files and Hugging Face checkpoints with one interface."""
