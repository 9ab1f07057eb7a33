"""Measure layer by layer: weight errors, drift of hidden states, attribution of the loss."""
