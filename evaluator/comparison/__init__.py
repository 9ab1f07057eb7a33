"""Measure the baseline, then each variant against it: tokens, layers, noise floor, speed."""
