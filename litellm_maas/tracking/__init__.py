"""Track what this process spends, for whom, and by which prices."""
