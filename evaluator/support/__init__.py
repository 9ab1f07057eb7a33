"""Provide errors, atomic files, caches, child processes, registries, the terminal and units to all packages."""
