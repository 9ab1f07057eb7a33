"""The artifact somebody would deploy: packed weights in a decoding graph, in a folder that runs by itself."""
