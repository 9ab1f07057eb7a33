"""Making variants: the quantizers, the stock recipe and the function-preserving rescaling of a baseline."""
