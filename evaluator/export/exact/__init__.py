"""Put a file's exact float32 weights into the graph."""
