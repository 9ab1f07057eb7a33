"""Define the metric families, one file each."""
