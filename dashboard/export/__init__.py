"""What is on the screen, taken away: pictures, data, a deck, a page that opens offline, Markdown."""
