"""Tokenizers, built from what a model file carries."""
