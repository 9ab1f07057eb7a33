"""From the exported graph to one with fused attention and norms, checked against it before anybody uses it."""
