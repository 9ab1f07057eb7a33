"""Fuse attention and norms of an exported graph, and check the result against it."""
