"""Export what is on the screen: pictures, data, slides, a page that opens offline, Markdown."""
