"""Read the texts to evaluate on, apply chat templates, cut windows of tokens."""
