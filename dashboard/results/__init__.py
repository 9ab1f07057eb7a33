"""A results folder as the dashboard reads it: frames, selection, tokens, statistics."""
