"""Export graphs; each exporter runs in its own process."""
