"""Decode the weights of quantized checkpoints, row by row."""
