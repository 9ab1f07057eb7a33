"""One file per metric family; each registers itself."""
