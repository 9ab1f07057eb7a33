"""The dashboard: pictures and computed findings from a results folder, on this machine only."""
