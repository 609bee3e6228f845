"""Routing: YAML -> `litellm.Router`, the rules that LiteLLM's router lacks, and checks of a proxy's config."""
