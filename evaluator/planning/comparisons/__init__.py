"""Ready-made comparisons, one TOML file each: `python -m evaluator run NAME`."""
