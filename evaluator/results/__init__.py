"""Describe the results folder, write it and read it."""
