"""Export graphs, each exporter in a process of its own."""
