"""What this process records, for whom, and by which prices."""
