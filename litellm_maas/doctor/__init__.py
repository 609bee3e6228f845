"""Check a set-up, and say how to fix it."""
