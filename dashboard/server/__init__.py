"""The web server: the app, its first page, scripts and styles."""
