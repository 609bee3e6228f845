"""Run `litellm-maas` as `python -m litellm_maas`, for where its script is not on the path."""

from __future__ import annotations

from litellm_maas.cli.app import main

main()
