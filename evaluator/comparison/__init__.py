"""A run: the baseline first, then each variant against it; layers, noise floor, speed."""
