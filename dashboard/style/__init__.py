"""How things look and read: number formats, names, colours."""
