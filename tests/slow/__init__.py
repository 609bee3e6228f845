"""Checks that take too long for every run; each has a script of its own."""
