"""Checks of a router's YAML and of a proxy's config, made before LiteLLM reads them."""
