"""Carry out the commands, one module each."""
