"""Pages that are text and tables instead of one figure."""
