"""Long runs, each started by a script of its own: no part of the suite."""
