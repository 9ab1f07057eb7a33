"""From what a user names (path, glob, hub repository) to opened model files."""
