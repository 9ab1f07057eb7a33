"""What every package may use: errors, caches, child processes, the registry, the terminal, units."""
