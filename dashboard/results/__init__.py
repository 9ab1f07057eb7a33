"""Read a results folder and compute its statistics over the chosen variants and tokens."""
