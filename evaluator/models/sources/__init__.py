"""Find and open what a user names: a path, a glob, a hub repository."""
