"""Define how numbers, names and colours look."""
