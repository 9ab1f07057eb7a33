"""Run the stages of variants on the machines of a Ray cluster."""
