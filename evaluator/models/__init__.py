"""Model files: one interface for GGUF files and Hugging Face checkpoints."""
