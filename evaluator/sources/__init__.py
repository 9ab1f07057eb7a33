"""Finding and opening models: files, formats, names and tokenizers."""
