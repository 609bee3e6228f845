"""What may be spent: budgets, and the reservation of a call's maximum cost while it is in flight."""
