"""Hugging Face checkpoint folders, presented as GGUF presents a model."""
