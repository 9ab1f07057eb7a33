"""Define the engines, one file each."""
