"""Show a results folder in the browser: charts, computed findings, exports."""
