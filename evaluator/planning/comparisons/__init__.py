"""Hold the ready-made comparisons, a TOML file each: `python -m evaluator run NAME`."""
