"""Make variants with ggml's quantizers: recipes, importance matrices, dynamic sizes, rescaling."""
