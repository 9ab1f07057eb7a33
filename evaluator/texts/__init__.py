"""Evaluation texts: where they come from, chat templates, windows of tokens."""
