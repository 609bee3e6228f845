"""Check a router's YAML and a proxy's config, before LiteLLM reads them."""
