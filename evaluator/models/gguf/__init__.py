"""Read and write GGUF files, split ones included."""
