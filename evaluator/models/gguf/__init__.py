"""GGUF files: reader, split files, writer."""
