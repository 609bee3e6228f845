"""Provide the `litellm-maas` command."""
