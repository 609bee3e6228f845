"""Provide what LiteLLM calls: the `maas/` provider, from LiteLLM's arguments to its responses."""
