"""Helpers that every package may use: errors, caches, child processes, registries, the terminal, units."""
