"""The results folder: schemas, manifest, names of its files, and the store that writes them."""
