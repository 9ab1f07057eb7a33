"""Measure the baseline, then each variant against it, here or on a cluster: tokens, layers, noise floor, speed."""
