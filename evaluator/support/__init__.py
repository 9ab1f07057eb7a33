"""Provide errors, atomic files, caches, processes, threads, registries, the terminal and units to all packages."""
