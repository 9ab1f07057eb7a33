"""Tables of the metadata and tensors of every model family, for files with random weights."""
