"""The `litellm-maas` command. Its presence among the loaded modules tells the package not to load LiteLLM yet."""

from __future__ import annotations

from litellm_maas.cli.app import main

__all__ = ["main"]
