"""Build the pages that are text and tables instead of one figure."""
