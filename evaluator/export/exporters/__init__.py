"""Programs that make a graph, each run in a process of its own."""
