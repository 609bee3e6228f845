"""What can be wrong with a set-up, check by check, and how to mend it."""
