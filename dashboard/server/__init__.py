"""Serve the app: first page, scripts, styles."""
