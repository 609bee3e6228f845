"""Enforce budgets: reserve the maximum cost of a call while it is in flight."""
