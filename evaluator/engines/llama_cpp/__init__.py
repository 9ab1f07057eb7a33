"""Run GGUF files in llama.cpp, by its C functions, in processes of their own: it ends its process on some files."""
