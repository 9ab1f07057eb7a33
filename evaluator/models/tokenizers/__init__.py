"""Build tokenizers from what a model file carries."""
