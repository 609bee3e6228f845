"""The `litellm-maas` command: what a person types and sees."""
